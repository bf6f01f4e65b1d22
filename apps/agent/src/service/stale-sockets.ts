// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@weir/clock';
import type { ServiceDatapath } from '@weir/datapath-maps';
import { WeirError } from '@weir/errors';
import { protocolNumber } from '@weir/model';
import { createNetlink, destroyUdpSocket, listConnectedUdpSockets } from '@weir/netlink';
import type { Logger } from '@weir/telemetry';

/** Ends sockets that talk to a backend which is not there any more: UDP has nobody who would tell them. */
export interface StaleSockets {
  /** Soon, all at once, and off the path of whoever says so. */
  end(backends: Iterable<number>): void;
  /** Waits for what is under way. */
  close(): Promise<void>;
}

export interface StaleSocketsOptions {
  readonly datapath: Pick<ServiceDatapath, 'socketBackend'>;
  /** Paths of the network namespaces of pods; that of the agent comes besides. */
  readonly namespaces: () => readonly string[];
  readonly clock: Clock;
  readonly logger: Logger;
}

const delayMs = 50;

/** Of one namespace; returns how many sockets it has ended. */
async function endIn(
  netns: string | undefined,
  {
    backends,
    datapath,
  }: { readonly backends: ReadonlySet<number>; readonly datapath: StaleSocketsOptions['datapath'] },
): Promise<number> {
  using netlink = createNetlink({ protocol: 'sock-diag', ...(netns !== undefined && { netns }) });
  let ended = 0;
  for (const family of ['ipv4', 'ipv6'] as const) {
    for (const socket of await netlink.run(listConnectedUdpSockets(family))) {
      const { cookie, peerAddress: address, peerPort: port } = socket;
      const backend = datapath.socketBackend({ cookie, address, port, protocol: protocolNumber.UDP });
      if (backend === undefined || !backends.has(backend)) continue;
      await netlink.run(destroyUdpSocket(socket)).then(
        () => (ended += 1),
        (error: unknown) => {
          // It has ended by itself.
          if (WeirError.from(error).code !== 'NOT_FOUND') throw error;
        },
      );
    }
  }
  return ended;
}

/** Looks into one namespace after the other; one that is gone, or a kernel that cannot, is no reason to stop. */
export function createStaleSockets({ datapath, namespaces, clock, logger }: StaleSocketsOptions): StaleSockets {
  let waiting = new Set<number>();
  let running: Promise<void> = Promise.resolve();
  let cancel: (() => void) | undefined;

  const endAll = async (): Promise<void> => {
    cancel = undefined;
    const backends = waiting;
    waiting = new Set();
    let ended = 0;
    for (const netns of [undefined, ...namespaces()]) {
      try {
        ended += await endIn(netns, { backends, datapath });
      } catch (error) {
        logger.debug({ error }, 'Sockets of a namespace cannot be looked at');
      }
    }
    if (ended > 0) logger.info({ count: ended }, 'Ended sockets of backends that are gone');
  };

  return {
    end(backends) {
      for (const id of backends) waiting.add(id);
      if (waiting.size === 0) return;
      cancel ??= clock.schedule(delayMs, () => void (running = running.then(endAll)));
    },
    async close() {
      cancel?.();
      await running;
    },
  };
}
