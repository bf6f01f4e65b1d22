// SPDX-License-Identifier: Apache-2.0
import { createBackoff, type CancelTimer, type Clock } from '@weir/clock';
import { WeirError } from '@weir/errors';
import type { ClusterDirectoryDefinition, weir } from '@weir/proto';
import type { RpcClient } from '@weir/rpc';
import type { Logger } from '@weir/telemetry';

/** Tells the cluster what this node is, whenever it changes and before the lease runs out. */
export interface Announcer {
  /** Tells soon; calls in between are one. */
  announce(): void;
  /** The history that the node has been announced in; undefined while it is not. */
  readonly announcedIn: string | undefined;
  /** Why the last attempt failed; undefined when it did not. */
  readonly refusal: string | undefined;
  stop(): void;
}

export interface AnnouncerOptions {
  readonly rpc: Pick<RpcClient<typeof ClusterDirectoryDefinition>, 'announce'>;
  /** What is true at the moment of the call. */
  readonly content: () => weir.identity.v1.AnnounceRequest.$Properties;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
}

const retryMs = { initialMs: 200, maxMs: 10_000 } as const;
// Two announcements may get lost before the lease runs out.
const announcementsPerLease = 3;
const intervalMsMin = 200;

/** Makes the announcer; it says nothing before `announce`. */
export function createAnnouncer({ rpc, content, clock, random, log }: AnnouncerOptions): Announcer {
  const backoff = createBackoff({ ...retryMs, random });
  let state: 'idle' | 'telling' | 'again' | 'stopped' = 'idle';
  let cancelTimer: CancelTimer = () => undefined;
  let announcedIn: string | undefined;
  let refusal: string | undefined;

  const tell = async (): Promise<number> => {
    try {
      const { leaseMs, epoch } = await rpc.announce(content());
      backoff.reset();
      announcedIn = epoch;
      refusal = undefined;
      return Math.max(intervalMsMin, leaseMs / announcementsPerLease);
    } catch (error) {
      const { code, message } = WeirError.from(error);
      announcedIn = undefined;
      // Nobody there is the watch's to report; a refusal is ours.
      if (refusal !== message && code !== 'UNAVAILABLE') log.warn({ error }, 'This node could not be announced');
      refusal = message;
      return backoff.nextMs();
    }
  };
  const run = async (): Promise<void> => {
    cancelTimer();
    state = 'telling';
    const delayMs = await tell();
    // The compiler does not see that the state changes during an await.
    const after = state as 'telling' | 'again' | 'stopped';
    if (after === 'stopped') return;
    state = 'idle';
    if (after === 'again' && refusal === undefined) return run();
    cancelTimer = clock.schedule(delayMs, () => void run());
  };

  return {
    announce() {
      if (state === 'idle') void run();
      else if (state === 'telling') state = 'again';
    },
    get announcedIn() {
      return announcedIn;
    },
    get refusal() {
      return refusal;
    },
    stop() {
      state = 'stopped';
      cancelTimer();
    },
  };
}
