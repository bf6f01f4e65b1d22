// SPDX-License-Identifier: Apache-2.0
import type { SelectorSpec } from '../selector-spec.ts';
import { type ActiveGrant, isRedirect } from './decision.ts';
import type { CachedSelector, SelectorCache } from './selector-cache.ts';

/** Grants about one protocol and port, found by the peers that they are about. 0 is "any peer". */
export interface GrantStore {
  readonly isEmpty: boolean;
  /** Adds a grant; `beforeChange` is first called with every peer whose decision may change. */
  add(grant: ActiveGrant, beforeChange: (peer: number) => void): void;
  /** Removes a grant, likewise. */
  remove(grant: ActiveGrant, beforeChange: (peer: number) => void): void;
  /** The grants to any peer. */
  readonly toAnyPeer: ReadonlySet<ActiveGrant>;
  /** The grants that select a peer; those to any peer are not among them. */
  toPeer(peer: number): Set<ActiveGrant>;
  /** The peers that grants select; some may come twice. */
  selectedPeers(): Iterable<number>;
}

const selectorsOf = (grant: ActiveGrant): readonly SelectorSpec[] => (grant.peers === 'any' ? [] : grant.peers);

/** Makes an empty store that uses selectors in the name of `user`. */
export function createGrantStore<U>(cache: SelectorCache<U>, user: () => U): GrantStore {
  const toAnyPeer = new Set<ActiveGrant>();
  const bySelector = new Map<CachedSelector<U>, Set<ActiveGrant>>();

  function* selectedPeers(): Iterable<number> {
    for (const selector of bySelector.keys()) yield* selector.members;
  }

  function* peersOf(grant: ActiveGrant): Iterable<number> {
    for (const spec of selectorsOf(grant)) yield* cache.find(spec)?.members ?? [];
    if (grant.peers !== 'any') return;
    yield 0;
    // The requests that are let through from anywhere are also in the rule sets of each peer.
    if (isRedirect(grant)) yield* selectedPeers();
  }

  function drop(grant: ActiveGrant, spec: SelectorSpec): void {
    const selector = cache.find(spec);
    const grants = selector === undefined ? undefined : bySelector.get(selector);
    if (selector === undefined || grants === undefined) return;
    grants.delete(grant);
    if (grants.size > 0) return;
    bySelector.delete(selector);
    cache.release(spec, user());
  }

  return {
    toAnyPeer,
    selectedPeers,
    get isEmpty() {
      return toAnyPeer.size === 0 && bySelector.size === 0;
    },
    add(grant, beforeChange) {
      // Only a selector in use can tell whom it selects.
      const selectors = selectorsOf(grant).map((spec) => cache.use(spec, user()));
      for (const peer of peersOf(grant)) beforeChange(peer);
      if (grant.peers === 'any') toAnyPeer.add(grant);
      for (const selector of selectors) {
        const grants = bySelector.get(selector);
        if (grants === undefined) bySelector.set(selector, new Set([grant]));
        else grants.add(grant);
      }
    },
    remove(grant, beforeChange) {
      for (const peer of peersOf(grant)) beforeChange(peer);
      toAnyPeer.delete(grant);
      for (const spec of selectorsOf(grant)) drop(grant, spec);
    },
    toPeer(peer) {
      const found = new Set<ActiveGrant>();
      const selecting = cache.selectorsOf(peer);
      // Walk whichever is shorter: the selectors of the peer, or those of the store.
      if (selecting.size <= bySelector.size) {
        for (const selector of selecting) for (const grant of bySelector.get(selector) ?? []) found.add(grant);
      } else {
        for (const [{ members }, grants] of bySelector) {
          if (members.has(peer)) for (const grant of grants) found.add(grant);
        }
      }
      return found;
    },
  };
}
