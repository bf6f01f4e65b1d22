// SPDX-License-Identifier: Apache-2.0
import { type ActiveGrant, decide, type Decision, isRedirect } from './decision.ts';
import type { DirectionPolicy } from './direction-policy.ts';
import { createGrantStore } from './grant-store.ts';
import type { SelectorCache } from './selector-cache.ts';

/** The selectors of all peers; each knows the port tables that it has a part in. */
export type PeerCache = SelectorCache<PortTable>;

/** Which part of whose policy a port table is. */
export interface PortTableSubject {
  readonly owner: DirectionPolicy;
  readonly protocol: number;
  readonly port: number;
}

/**
 * What one direction of one subject's policy says about one protocol and port. It holds grants by selector, not an entry
 * for each peer: what becomes of a peer is worked out when somebody asks. Peer 0 is "any peer".
 */
export interface PortTable extends PortTableSubject {
  readonly isEmpty: boolean;
  /** Adds a grant; `beforeChange` is first called with every peer whose decision may change. */
  add(grant: ActiveGrant, beforeChange: (peer: number) => void): void;
  /** Removes a grant, likewise. */
  remove(grant: ActiveGrant, beforeChange: (peer: number) => void): void;
  /** All peers that have a decision; some may come twice. */
  peers(): Iterable<number>;
  /** The decision of the peer's own entry; undefined when it has none. */
  decision(peer: number): Decision | undefined;
}

/** Makes an empty table. */
export function createPortTable(subject: PortTableSubject, cache: PeerCache): PortTable {
  const grants = createGrantStore(cache, () => table);
  // Most peers of a selector fall under the same grants, and share one decision. Cleared only so that it cannot grow.
  const decisions = new Map<string, Decision>();

  function shared(deciding: ReadonlySet<ActiveGrant>): Decision {
    const ids = [...deciding].map(({ id }) => id);
    const key = ids.length === 1 ? String(ids[0]) : ids.sort((a, b) => a - b).join();
    const known = decisions.get(key);
    if (known !== undefined) return known;
    const decision = decide([...deciding]);
    decisions.set(key, decision);
    return decision;
  }

  const table: PortTable = {
    ...subject,
    get isEmpty() {
      return grants.isEmpty;
    },
    add(grant, beforeChange) {
      grants.add(grant, beforeChange);
      decisions.clear();
    },
    remove(grant, beforeChange) {
      grants.remove(grant, beforeChange);
      decisions.clear();
    },
    *peers() {
      if (grants.toAnyPeer.size > 0) yield 0;
      yield* grants.selectedPeers();
    },
    decision(peer) {
      const deciding = peer === 0 ? grants.toAnyPeer : grants.toPeer(peer);
      if (deciding.size === 0) return undefined;
      const redirects = [...grants.toAnyPeer].filter(isRedirect);
      const isWider = peer !== 0 && redirects.length > 0 && [...deciding].every(isRedirect);
      // Only the most specific redirect counts in the kernel, so it has to say what the wider one says, too.
      return shared(isWider ? new Set([...deciding, ...redirects]) : deciding);
    },
  };
  return table;
}
