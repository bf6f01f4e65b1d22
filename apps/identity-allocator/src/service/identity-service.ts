// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@weir/clock';
import { WeirError } from '@weir/errors';
import { formatLabelSet, type LabelSet } from '@weir/model';
import { encodedOnce, IdentityAllocatorDefinition, type weir } from '@weir/proto';
import { refuseAllBut, refuseOtherNode, rpcService, type Handlers, type RpcCall, type RpcService } from '@weir/rpc';
import type { Logger } from '@weir/telemetry';
import type { Changes, IdentityStore, StoredIdentity } from '../store/identity-store.ts';
import type { ChangeHub } from './change-hub.ts';
import { refuseWhileAway } from './refuse-while-away.ts';
import type { Turns } from './turns.ts';
import { readHeld, readId, readLabels, readNode } from './request-fields.ts';

export interface IdentityServiceOptions {
  readonly store: IdentityStore;
  readonly hub: ChangeHub;
  readonly clock: Clock;
  readonly leaseMs: number;
  /** Whoever takes a snapshot takes a turn. */
  readonly turns: Turns;
  readonly log: Logger;
}

type WireIdentity = weir.identity.v1.Identity.$Properties;
type WatchRequest = weir.identity.v1.WatchRequest;
type WatchResponse = weir.identity.v1.WatchResponse.$Properties;

// What the certificate of every operator carries.
const operatorName = 'operator.weir';
// A page of ListIdentities stays far below the largest message.
const pageBytesMax = 1024 * 1024;

/** Makes the gRPC service: reads and checks requests, and leaves everything else to the store. */
export function createIdentityService(options: IdentityServiceOptions): RpcService {
  const { store, log } = options;
  const wire = wireIdentities(store);
  const messageOf = createSharedMessages(wire);
  const handlers: Handlers<typeof IdentityAllocatorDefinition> = {
    async allocate(request, call) {
      const [node, labels] = [ownNode(request.node, call), readLabels(request.labels)];
      const { identity, created } = await store.allocate({ node, labels, knownId: request.knownId }, call);
      if (created) log.info({ identity: identity.id, labels: formatLabelSet(labels), node }, 'Identity allocated');
      return { identity: wire(identity), created, leaseMs: options.leaseMs };
    },
    async release(request, call) {
      await store.release({ node: ownNode(request.node, call), id: readId(request.id) }, call);
      return {};
    },
    async renewLease(request, call) {
      const [node, held] = [ownNode(request.node, call), readHeld(request.held)];
      const { lost } = await store.renewLease({ node, held }, call);
      if (lost.length > 0) log.warn({ node, identities: lost }, 'Node holds numbers that mean something else now');
      return { leaseMs: options.leaseMs, lost: [...lost] };
    },
    watch: (request, call) => watch(request, call, { ...options, messageOf }),
    listIdentities({ afterId }) {
      const { page, more } = cutPage(store.list(afterId));
      return { identities: page.map(wire), revision: store.revision, more };
    },
    async collectGarbage(_request, call) {
      refuseAllBut(operatorName, call);
      const { expiredNodes, deleted } = await store.collectGarbage();
      return { expiredNodes: [...expiredNodes], deleted: [...deleted] };
    },
    getIdentity({ id }) {
      const identity = store.get(id);
      if (identity === undefined) throw new WeirError('NOT_FOUND', `No label set has the identity ${id}`);
      return { identity: wire(identity) };
    },
  };
  return rpcService(IdentityAllocatorDefinition, handlers);
}

function ownNode(name: string, call: RpcCall): string {
  const node = readNode(name);
  refuseOtherNode(node, call);
  return node;
}

type ToWire = (identity: StoredIdentity) => WireIdentity;

function wireIdentities(store: IdentityStore): ToWire {
  // Written out once per label set, not once per watcher.
  const written = new WeakMap<LabelSet, string[]>();
  return ({ id, labels }) => {
    const texts = written.get(labels) ?? formatLabelSet(labels);
    written.set(labels, texts);
    return { id, labels: texts, references: store.referencesTo(id) };
  };
}

type MessageHead = Pick<WatchResponse, 'epoch' | 'snapshot'> & { readonly withDeleted: boolean };

/** Changes as a message, the same one for all watchers that are equally far. */
function createSharedMessages(wire: ToWire): (changes: Changes, head: MessageHead) => WatchResponse {
  const made = new WeakMap<Changes, Map<string, WatchResponse>>();
  return (changes, { withDeleted, ...head }) => {
    const known = made.get(changes) ?? new Map<string, WatchResponse>();
    made.set(changes, known);
    const key = `${head.epoch} ${head.snapshot} ${withDeleted}`;
    const { revision, complete: synced } = changes;
    const deleted = withDeleted ? [...changes.deleted] : [];
    const message =
      known.get(key) ?? encodedOnce({ ...head, revision, upserted: changes.upserted.map(wire), deleted, synced });
    known.set(key, message);
    return message;
  };
}

function cutPage(identities: Iterable<StoredIdentity>): { page: StoredIdentity[]; more: boolean } {
  const page: StoredIdentity[] = [];
  let bytes = 0;
  for (const identity of identities) {
    if (bytes >= pageBytesMax) return { page, more: true };
    page.push(identity);
    bytes += identity.labels.key.length;
  }
  return { page, more: false };
}

/**
 * A snapshot is the changes after nothing: it needs no copy of the state, and what changes while it is sent comes at its
 * end. The next message is made when the last ones have been taken, so a slow reader costs a revision, not a queue.
 */
async function* watch(
  request: WatchRequest,
  call: RpcCall,
  options: IdentityServiceOptions & { readonly messageOf: ReturnType<typeof createSharedMessages> },
): AsyncGenerator<WatchResponse> {
  const { store, hub, clock, log, messageOf } = options;
  const node = readNode(request.node);
  refuseWhileAway(store, clock);
  const leave = hub.enter();
  if (leave === undefined)
    throw new WeirError('RESOURCE_EXHAUSTED', `${hub.watcherCount} clients are watching already`);
  let endTurn = (): void => undefined;
  try {
    // Another replica may have told this client of what this one has not read yet.
    if (request.epoch === store.epoch && request.afterRevision > store.revision) await store.catchUp();
    const { epoch } = store;
    const resumes = request.epoch === epoch && request.afterRevision > 0 && request.afterRevision <= store.revision;
    let revision = resumes ? request.afterRevision : 0;
    let snapshot = !resumes;
    // Whoever begins with nothing need not hear what was deleted before.
    const bornAt = resumes ? 0 : store.revision;
    log.debug({ node, revision, peer: call.peer }, 'Watch begins');
    for (let first = true; !call.signal.aborted; first = false) {
      if (snapshot) endTurn = await options.turns.take(call.signal);
      const changes = hub.changesAfter(revision);
      if (first || changes.revision > revision) {
        yield messageOf(changes, { epoch, snapshot, withDeleted: changes.revision > bornAt });
        snapshot = false;
      }
      revision = changes.revision;
      if (changes.complete) {
        endTurn();
        await hub.changed(revision, call.signal);
      }
      if (store.epoch !== epoch) throw new WeirError('UNAVAILABLE', 'The store was begun anew, ask for a snapshot');
      refuseWhileAway(store, clock);
    }
  } finally {
    endTurn();
    leave();
    log.debug({ node, peer: call.peer }, 'Watch ends');
  }
}
