// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@weir/clock';
import { WeirError } from '@weir/errors';
import { formatCidr } from '@weir/model';
import { ClusterDirectoryDefinition, encodedOnce, type weir } from '@weir/proto';
import { type Handlers, refuseOtherNode, type RpcCall, rpcService, type RpcService } from '@weir/rpc';
import type { Logger } from '@weir/telemetry';
import { readNode } from '../service/request-fields.ts';
import { readAnnouncement } from './announcement-fields.ts';
import { refuseWhileAway } from '../service/refuse-while-away.ts';
import type { Turns } from '../service/turns.ts';
import type { IdentityStore, OperationOptions } from '../store/identity-store.ts';
import type { Announcement, ClusterDirectory, DirectoryChanges } from './cluster-directory.ts';

export interface ClusterServiceOptions {
  readonly directory: ClusterDirectory;
  readonly store: Pick<IdentityStore, 'away' | 'onChange' | 'catchUp'>;
  /** Takes what a node says of itself, and keeps it for the node's lease. */
  readonly announce: (announcement: Announcement, options: OperationOptions) => Promise<void>;
  readonly leaseMs: number;
  readonly clock: Clock;
  readonly watchersMax: number;
  /** Whoever takes a snapshot takes a turn: many at a time would leave no time for anything else. */
  readonly turns: Turns;
  readonly log: Logger;
}

type WatchRequest = weir.identity.v1.WatchClusterRequest;
type WatchResponse = weir.identity.v1.WatchClusterResponse.$Properties;

// Changes come in bursts; watchers that are told of each burst once cost less than watchers that are told of each change. The
// more there are, the longer changes wait for company: a thousand watchers are told ten times a second.
const gatherMsMin = 5;
const gatherMsMax = 100;
const gatherMsPerWatcher = 0.1;

/** The service, and what ends its streams. */
export interface ClusterService {
  readonly service: RpcService;
  close(): void;
}

/** Makes the gRPC service around a directory. */
export function createClusterService(options: ClusterServiceOptions): ClusterService {
  const { directory, leaseMs, log } = options;
  const watchers = { count: 0 };
  const bell = createBell(options, watchers);
  const messages = createSharedMessages(options);
  const handlers: Handlers<typeof ClusterDirectoryDefinition> = {
    async announce(request, call) {
      const announcement = readAnnouncement(request);
      refuseOtherNode(announcement.name, call);
      const { nodeCount } = directory;
      await options.announce(announcement, call);
      if (directory.nodeCount > nodeCount) log.info({ node: announcement.name }, 'Node has joined');
      return { leaseMs, epoch: directory.epoch };
    },
    watchCluster: (request, call) => watch(request, call, { ...options, bell, watchers, messages }),
  };
  return {
    service: rpcService(ClusterDirectoryDefinition, handlers),
    close() {
      messages.close();
      bell.close();
    },
  };
}

/** Wakes all watchers a little after the first change since it woke them last. */
interface Bell {
  changed(position: number, signal: AbortSignal): Promise<void>;
  close(): void;
}

function createBell({ directory, clock, store }: ClusterServiceOptions, watchers: { readonly count: number }): Bell {
  const waiting = new Set<() => void>();
  let isScheduled = false;
  const ring = (): void => {
    isScheduled = false;
    const due = [...waiting];
    waiting.clear();
    for (const wake of due) wake();
  };
  const unsubscribe = directory.onChange(() => {
    if (isScheduled) return;
    isScheduled = true;
    clock.schedule(Math.min(gatherMsMax, Math.max(gatherMsMin, watchers.count * gatherMsPerWatcher)), ring);
  });
  // Watchers of a replica that is cut off are sent away.
  const unsubscribeStore = store.onChange(() => {
    if (store.away !== undefined) ring();
  });
  return {
    changed: (position, signal) =>
      new Promise((resolve) => {
        if (signal.aborted) return resolve();
        // What is under way already is waited for, so that nobody runs ahead of the bell.
        if (directory.position > position && !isScheduled) return resolve();
        const leave = (): void => {
          waiting.delete(leave);
          signal.removeEventListener('abort', leave);
          resolve();
        };
        waiting.add(leave);
        signal.addEventListener('abort', leave, { once: true });
      }),
    close() {
      unsubscribe();
      unsubscribeStore();
      ring();
    },
  };
}

/** What came after a position, as a message that all who are equally far share. */
interface SharedMessage {
  readonly message: WatchResponse;
  /** Continue from here. */
  readonly position: number;
  /** As the message says it. */
  readonly revision: number;
  readonly complete: boolean;
}

// Parts of a snapshot that are older than that are mostly followed by what replaces them.
const partsMsMax = 5_000;
const sharedMax = 128;

/**
 * Makes messages once for all watchers. A part with more behind it stays right when things change, for what replaces its rows comes
 * later; the last one says that there is no more, which the next change makes wrong.
 */
function createSharedMessages({ directory, clock }: ClusterServiceOptions) {
  const last = new Map<string, SharedMessage>();
  const parts = new Map<string, SharedMessage>();
  let partsSinceMs = -Infinity;
  let { beginning } = directory;
  const unsubscribe = directory.onChange(() => last.clear());
  const forgetOldParts = (): void => {
    if (clock.monotonicMs() - partsSinceMs < partsMsMax && directory.beginning === beginning) return;
    parts.clear();
    partsSinceMs = clock.monotonicMs();
    ({ beginning } = directory);
  };
  return {
    /** Undefined when only a snapshot can tell. */
    after(from: number, snapshot: boolean): SharedMessage | undefined {
      forgetOldParts();
      const key = `${snapshot} ${from}`;
      const known = last.get(key) ?? parts.get(key);
      if (known !== undefined) return known;
      const changes = directory.changesAfter(from);
      if (changes === undefined) return undefined;
      const { position, revision, complete } = changes;
      const message = encodedOnce(toMessage(changes, { epoch: directory.epoch, snapshot }));
      const made = { message, position, revision, complete };
      const shared = made.complete ? last : parts;
      if (shared.size < sharedMax) shared.set(key, made);
      return made;
    },
    close: unsubscribe,
  };
}

const toMessage = (
  changes: DirectoryChanges,
  head: { readonly epoch: string; readonly snapshot: boolean },
): WatchResponse => ({
  ...head,
  revision: changes.revision,
  nodes: changes.nodes.map(({ name, addresses, podRanges, namedPorts, labels }) => ({
    name,
    addresses: [...addresses],
    podRanges: podRanges.map(formatCidr),
    labels: { ...labels },
    namedPorts: namedPorts.map(([identity, ports]) => ({ identity, ports: [...ports] })),
  })),
  endpoints: changes.endpoints.map(([address, pod]) => ({ address, ...pod })),
  deletedNodes: [...changes.deletedNodes],
  deletedEndpoints: [...changes.deletedEndpoints],
  synced: changes.complete,
});

/** As for identities: a watcher is a position, not a queue. */
async function* watch(
  request: WatchRequest,
  call: RpcCall,
  options: ClusterServiceOptions & {
    readonly bell: Bell;
    readonly watchers: { count: number };
    readonly messages: ReturnType<typeof createSharedMessages>;
  },
): AsyncGenerator<WatchResponse> {
  const { directory, bell, watchers, watchersMax, messages, turns, log } = options;
  const node = readNode(request.node);
  refuseWhileAway(options.store, options.clock);
  if (watchers.count >= watchersMax) {
    throw new WeirError('RESOURCE_EXHAUSTED', `${watchers.count} clients are watching already`);
  }
  watchers.count += 1;
  let endTurn = (): void => undefined;
  try {
    // Another directory of the same log may have told this client of what this one has not read yet.
    if (request.epoch === directory.epoch && request.afterRevision > directory.revision) await options.store.catchUp();
    const { epoch } = directory;
    const resumes = request.epoch === epoch && request.afterRevision > 0;
    let position = (resumes ? directory.positionAfter(request.afterRevision) : undefined) ?? 0;
    let snapshot = position === 0;
    log.debug({ node, revision: request.afterRevision, peer: call.peer }, 'Watch of the cluster begins');
    for (let first = true; !call.signal.aborted; first = false) {
      if (snapshot) {
        endTurn();
        endTurn = await turns.take(call.signal);
      }
      const changes = messages.after(position, snapshot);
      if (changes === undefined) {
        [position, snapshot] = [0, true];
        continue;
      }
      if (first || changes.position > position) yield changes.message;
      snapshot = false;
      ({ position } = changes);
      if (changes.complete) {
        endTurn();
        await bell.changed(position, call.signal);
      }
      if (directory.epoch !== epoch) throw new WeirError('UNAVAILABLE', 'The store was begun anew, ask for a snapshot');
      refuseWhileAway(options.store, options.clock);
    }
  } finally {
    endTurn();
    watchers.count -= 1;
    log.debug({ node, peer: call.peer }, 'Watch of the cluster ends');
  }
}
