// SPDX-License-Identifier: Apache-2.0
import { anyIdentity, clusterPeer, isClusterIdentity } from '@weir/model';
import type { SelectorSpec } from '../selector-spec.ts';
import { type ActiveGrant, isRedirect } from './decision.ts';
import type { CachedSelector, SelectorCache } from './selector-cache.ts';

/** Grants about one span of ports, found by the peers that they are about: an identity, all pods, or any. */
export interface GrantStore {
  readonly isEmpty: boolean;
  /** Whether there are grants for certain requests. */
  readonly hasRedirects: boolean;
  /** Whether there are such grants to certain peers. */
  readonly hasSelectiveRedirects: boolean;
  /** Adds a grant; `beforeChange` is first called with every peer that it is about. */
  add(grant: ActiveGrant, beforeChange: (peer: number) => void): void;
  /** Removes a grant, likewise. */
  remove(grant: ActiveGrant, beforeChange: (peer: number) => void): void;
  /** The grants that are about just this peer, not about wider ones; each once. */
  grantsTo(peer: number): readonly ActiveGrant[];
  /** The peers that grants are about; some may come twice. */
  peers(): Iterable<number>;
  /** The grants whose peers a selector names, as rules wrote it. */
  grantsNaming(spec: SelectorSpec): Iterable<ActiveGrant>;
}

const selectorsOf = (grant: ActiveGrant): readonly SelectorSpec[] => (grant.peers === 'any' ? [] : grant.peers);

/** The peers of a policy map that a selector stands for. */
export function* peersOfSelector<U>(selector: CachedSelector<U>): Iterable<number> {
  if (!selector.coversPods) return yield* selector.members;
  yield clusterPeer;
  for (const id of selector.members) if (!isClusterIdentity(id)) yield id;
}

const noGrants: readonly ActiveGrant[] = [];

const stands = <U>(selector: CachedSelector<U>, peer: number): boolean => {
  if (peer === clusterPeer) return selector.coversPods;
  return selector.members.has(peer) && !(selector.coversPods && isClusterIdentity(peer));
};

type GrantsBySelector<U> = Map<CachedSelector<U>, Set<ActiveGrant>>;

/** The sets of grants about a peer. Walks whichever is shorter: the selectors of the peer, or those of the store. */
function* setsFor<U>(
  peer: number,
  { bySelector, cache }: { readonly bySelector: GrantsBySelector<U>; readonly cache: SelectorCache<U> },
): Iterable<Set<ActiveGrant>> {
  const selecting = peer === clusterPeer ? undefined : cache.selectorsOf(peer);
  if (selecting !== undefined && selecting.size <= bySelector.size) {
    for (const selector of selecting) {
      const grants = bySelector.get(selector);
      if (grants !== undefined && stands(selector, peer)) yield grants;
    }
    return;
  }
  for (const [selector, grants] of bySelector) if (stands(selector, peer)) yield grants;
}

/** The grants of some sets, each once. */
function unite(sets: Iterable<Set<ActiveGrant>>): readonly ActiveGrant[] {
  let found: ActiveGrant[] | undefined;
  let isUnique = true;
  for (const grants of sets) {
    if (found !== undefined) isUnique = false;
    found = found === undefined ? [...grants] : [...found, ...grants];
  }
  if (found === undefined) return noGrants;
  return isUnique ? found : [...new Set(found)];
}

function noteAll<U>(grant: ActiveGrant, cache: SelectorCache<U>, beforeChange: (peer: number) => void): void {
  if (grant.peers === 'any') beforeChange(anyIdentity);
  for (const spec of selectorsOf(grant)) {
    const selector = cache.find(spec);
    if (selector !== undefined) for (const peer of peersOfSelector(selector)) beforeChange(peer);
  }
}

/** Makes an empty store that uses selectors in the name of `user`. */
export function createGrantStore<U>(cache: SelectorCache<U>, user: () => U): GrantStore {
  const toAnyPeer = new Set<ActiveGrant>();
  const bySelector: GrantsBySelector<U> = new Map();
  let redirects = 0;
  let selectiveRedirects = 0;

  function count(grant: ActiveGrant, step: 1 | -1): void {
    if (!isRedirect(grant)) return;
    redirects += step;
    if (grant.peers !== 'any') selectiveRedirects += step;
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
    get isEmpty() {
      return toAnyPeer.size === 0 && bySelector.size === 0;
    },
    get hasRedirects() {
      return redirects > 0;
    },
    get hasSelectiveRedirects() {
      return selectiveRedirects > 0;
    },
    add(grant, beforeChange) {
      // Only a selector in use can tell whom it selects.
      const selectors = selectorsOf(grant).map((spec) => cache.use(spec, user()));
      noteAll(grant, cache, beforeChange);
      count(grant, 1);
      if (grant.peers === 'any') toAnyPeer.add(grant);
      for (const selector of selectors) {
        const grants = bySelector.get(selector);
        if (grants === undefined) bySelector.set(selector, new Set([grant]));
        else grants.add(grant);
      }
    },
    remove(grant, beforeChange) {
      noteAll(grant, cache, beforeChange);
      count(grant, -1);
      toAnyPeer.delete(grant);
      for (const spec of selectorsOf(grant)) drop(grant, spec);
    },
    grantsTo(peer) {
      if (peer === anyIdentity) return toAnyPeer.size === 0 ? noGrants : [...toAnyPeer];
      return unite(setsFor(peer, { bySelector, cache }));
    },
    *peers() {
      if (toAnyPeer.size > 0) yield anyIdentity;
      for (const selector of bySelector.keys()) yield* peersOfSelector(selector);
    },
    grantsNaming(spec) {
      const selector = cache.find(spec);
      return (selector && bySelector.get(selector)) ?? [];
    },
  };
}
