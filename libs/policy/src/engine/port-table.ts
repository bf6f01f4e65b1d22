// SPDX-License-Identifier: Apache-2.0
import { anyIdentity, clusterPeer, isClusterIdentity } from '@weir/model';
import type { PortPrefix } from '../port-prefix.ts';
import { type ActiveGrant, decide, type Decision, isRedirect } from './decision.ts';
import type { DirectionPolicy } from './direction-policy.ts';
import { createGrantStore, type GrantStore } from './grant-store.ts';
import { peerLevels } from './peer-levels.ts';
import type { SelectorCache } from './selector-cache.ts';

/** The selectors of all peers; each knows the port tables that it has a part in. */
export type PeerCache = SelectorCache<PortTable>;

/** Which part of whose policy a port table is. */
export interface PortTableSubject extends PortPrefix {
  readonly owner: DirectionPolicy;
  readonly protocol: number;
}

/** Is told of each cell of a table, before what it says may change. */
export type BeforeChange = (table: PortTable, peer: number) => void;

/**
 * What one direction of one subject's policy says about one span of ports of a protocol. It holds grants by selector, not
 * an entry for each peer: what becomes of a peer is worked out when somebody asks.
 */
export interface PortTable extends PortTableSubject {
  readonly grants: GrantStore;
  /** The other tables of the owner whose ports contain all of this one's, and those whose ports this one's contain. */
  readonly wider: Set<PortTable>;
  readonly narrower: Set<PortTable>;
  /** Adds a grant; `beforeChange` is first called with every cell that may change, also of other tables. */
  add(grant: ActiveGrant, beforeChange: BeforeChange): void;
  /** Removes a grant, likewise. */
  remove(grant: ActiveGrant, beforeChange: BeforeChange): void;
  /** Calls with every cell, here and in narrower tables, that may change when a peer comes, goes, or changes class. */
  noteAround(peer: number, beforeChange: BeforeChange): void;
  /** All peers that may have an entry; some may come twice. */
  peers(): Iterable<number>;
  /**
   * The decision of the peer's own entry; undefined when it needs none, because no grant is about it or because what
   * wider entries say beats whatever it could say.
   */
  decision(peer: number): Decision | undefined;
}

/** What grants about wider peers and ports say of a cell. */
interface WiderGrants {
  readonly isDenied: boolean;
  readonly isAllowed: boolean;
  readonly redirects: readonly ActiveGrant[];
}

function widerGrants(table: PortTable, peer: number): WiderGrants {
  const redirects: ActiveGrant[] = [];
  let isAllowed = false;
  const levels = peerLevels(peer);
  for (const place of [table, ...table.wider]) {
    for (const level of levels) {
      if (place === table && level === peer) continue;
      for (const grant of place.grants.grantsTo(level)) {
        if (grant.verdict === 'deny') return { isDenied: true, isAllowed, redirects };
        if (isRedirect(grant)) redirects.push(grant);
        else isAllowed = true;
      }
    }
  }
  return { isDenied: false, isAllowed, redirects };
}

/**
 * Whether a peer without grants of its own here needs an entry: the kernel takes the rules of the most specific peer, so
 * that those that a wider peer has for these ports would be hidden by those that this one has for wider ports.
 */
function hidesWiderPeers(table: PortTable, peer: number): boolean {
  const hasOwn = [...table.wider].some(
    ({ grants }) => grants.hasSelectiveRedirects && grants.grantsTo(peer).some(isRedirect),
  );
  if (!hasOwn) return false;
  return peerLevels(peer).some((level) => level !== peer && table.grants.grantsTo(level).some(isRedirect));
}

/** Makes an empty table. */
export function createPortTable(subject: PortTableSubject, cache: PeerCache): PortTable {
  const grants = createGrantStore(cache, () => table);
  // Most peers of a selector fall under the same grants, and share one decision. Cleared only so that it cannot grow.
  const decisions = new Map<string, Decision>();

  function shared(deciding: readonly ActiveGrant[]): Decision {
    const ids = deciding.map(({ id }) => id);
    const key = ids.length === 1 ? String(ids[0]) : ids.sort((a, b) => a - b).join();
    const known = decisions.get(key);
    if (known !== undefined) return known;
    const decision = decide(deciding);
    decisions.set(key, decision);
    return decision;
  }

  function noteWide(peer: number, beforeChange: BeforeChange): void {
    for (const place of [table, ...table.narrower]) {
      beforeChange(place, peer);
      for (const other of place.peers()) {
        if (peer === anyIdentity || other === clusterPeer || isClusterIdentity(other)) beforeChange(place, other);
      }
    }
  }

  const table: PortTable = {
    ...subject,
    grants,
    wider: new Set(),
    narrower: new Set(),
    add(grant, beforeChange) {
      grants.add(grant, (peer) => table.noteAround(peer, beforeChange));
      decisions.clear();
    },
    remove(grant, beforeChange) {
      grants.remove(grant, (peer) => table.noteAround(peer, beforeChange));
      decisions.clear();
    },
    noteAround(peer, beforeChange) {
      if (peer === anyIdentity || peer === clusterPeer) return noteWide(peer, beforeChange);
      beforeChange(table, peer);
      for (const place of table.narrower) {
        const mayHaveEntry = place.grants.hasRedirects || place.grants.grantsTo(peer).length > 0;
        if (mayHaveEntry) beforeChange(place, peer);
      }
    },
    *peers() {
      yield* grants.peers();
      for (const { grants: wider } of table.wider) if (wider.hasSelectiveRedirects) yield* wider.peers();
    },
    decision(peer) {
      const direct = grants.grantsTo(peer);
      if (direct.length === 0 && !hidesWiderPeers(table, peer)) return undefined;
      const wider = widerGrants(table, peer);
      if (wider.isDenied) return undefined;
      if (direct.some(({ verdict }) => verdict === 'deny')) return shared(direct);
      if (wider.isAllowed) return undefined;
      if (!direct.every(isRedirect)) return shared(direct);
      // Only the most specific redirect counts in the kernel, so it has to say what the wider ones say, too.
      return shared(wider.redirects.length === 0 ? direct : [...new Set([...direct, ...wider.redirects])]);
    },
  };
  return table;
}
