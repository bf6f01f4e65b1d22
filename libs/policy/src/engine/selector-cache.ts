// SPDX-License-Identifier: Apache-2.0
import { isClusterIdentity } from '@weir/model';
import { assert } from '@weir/errors';
import { type AttributeSet, selectorMatches, type SelectorSpec } from '../selector-spec.ts';
import { createLabelIndex } from './label-index.ts';
import { createSelectorIndex } from './selector-index.ts';

/** A selector that somebody uses, with those it selects. Equal selectors are one object. */
export interface CachedSelector<U> {
  readonly spec: SelectorSpec;
  /** Numbers of the members that it selects. */
  readonly members: ReadonlySet<number>;
  readonly users: ReadonlySet<U>;
  /** Whether it selects every pod there is or will be, so that they can be one peer. */
  readonly coversPods: boolean;
}

/**
 * Who is selected by what, kept up to date in both directions: a new member is compared only with selectors that share a
 * label with it, and a new selector only with members that share one with it.
 */
export interface SelectorCache<U> {
  /** What selectors see of a member; undefined when there is no such member. */
  attributesOf(id: number): AttributeSet | undefined;
  /** The selectors that select a member. */
  selectorsOf(id: number): ReadonlySet<CachedSelector<U>>;
  /** Adds a member that is not there yet. */
  addMember(id: number, attributes: AttributeSet): void;
  removeMember(id: number): void;
  /** All members. */
  members(): IterableIterator<[number, AttributeSet]>;
  /** The selectors whose {@link CachedSelector.coversPods} will not be what it is when a member has come. */
  turnedByAdding(id: number, attributes: AttributeSet): CachedSelector<U>[];
  /** The same for when it has gone. */
  turnedByRemoving(id: number): CachedSelector<U>[];
  /** The selector, made if nobody uses it yet. */
  use(spec: SelectorSpec, user: U): CachedSelector<U>;
  /** The selector goes with its last user. */
  release(spec: SelectorSpec, user: U): void;
  /** The selector, if somebody uses it. */
  find(spec: SelectorSpec): CachedSelector<U> | undefined;
  /** The selectors that are in use. */
  selectors(): Iterable<CachedSelector<U>>;
  /** How many selectors are in use. */
  readonly selectorCount: number;
}

interface MutableSelector<U> extends CachedSelector<U> {
  readonly members: Set<number>;
  readonly users: Set<U>;
  /** How many members are pods; counted only for selectors that are for all of them. */
  podCount: number;
}

interface Member<U> {
  readonly attributes: AttributeSet;
  readonly selectors: Set<MutableSelector<U>>;
}

/** The members of a cache and the selectors that are for all pods, which need counting. */
interface Membership<U> {
  readonly members: Map<number, Member<U>>;
  readonly forAllPods: Set<MutableSelector<U>>;
  podCount: number;
}

function createSelector<U>(spec: SelectorSpec, among: Membership<U>): MutableSelector<U> {
  const selector: MutableSelector<U> = {
    spec,
    members: new Set(),
    users: new Set(),
    podCount: 0,
    get coversPods() {
      return among.forAllPods.has(selector) && selector.podCount === among.podCount;
    },
  };
  return selector;
}

function link<U>({ forAllPods, members }: Membership<U>, id: number, selector: MutableSelector<U>): void {
  const member = members.get(id);
  if (member === undefined || selector.members.has(id) || !selectorMatches(selector.spec, member.attributes)) return;
  selector.members.add(id);
  member.selectors.add(selector);
  if (forAllPods.has(selector) && isClusterIdentity(id)) selector.podCount++;
}

function unlinkAll<U>({ forAllPods }: Membership<U>, id: number, { selectors }: Member<U>): void {
  const isPod = isClusterIdentity(id);
  for (const selector of selectors) {
    selector.members.delete(id);
    if (isPod && forAllPods.has(selector)) selector.podCount--;
  }
}

/**
 * Makes an empty cache. `isForAllPods` tells of a selector whether it selects all pods by what every pod has: it covers
 * them as long as no member that should be a pod lacks it.
 */
export function createSelectorCache<U>(isForAllPods: (spec: SelectorSpec) => boolean = () => false): SelectorCache<U> {
  const among: Membership<U> = { members: new Map(), forAllPods: new Set(), podCount: 0 };
  const { members, forAllPods } = among;
  const selectors = new Map<string, MutableSelector<U>>();
  const selectorIndex = createSelectorIndex<MutableSelector<U>>();
  const labelIndex = createLabelIndex();
  const nothing: ReadonlySet<CachedSelector<U>> = new Set();

  function create(spec: SelectorSpec): MutableSelector<U> {
    const selector = createSelector(spec, among);
    if (isForAllPods(spec)) forAllPods.add(selector);
    selectors.set(spec.key, selector);
    selectorIndex.add(spec, selector);
    for (const id of labelIndex.candidates(spec) ?? members.keys()) link(among, id, selector);
    return selector;
  }

  return {
    attributesOf: (id) => members.get(id)?.attributes,
    selectorsOf: (id) => members.get(id)?.selectors ?? nothing,
    addMember(id, attributes) {
      assert(!members.has(id), `member ${id} of a selector cache is new`);
      members.set(id, { attributes, selectors: new Set() });
      if (isClusterIdentity(id)) among.podCount++;
      labelIndex.add(id, attributes);
      for (const selector of selectorIndex.candidates(attributes)) link(among, id, selector);
    },
    removeMember(id) {
      const member = members.get(id);
      if (member === undefined) return;
      unlinkAll(among, id, member);
      if (isClusterIdentity(id)) among.podCount--;
      labelIndex.remove(id, member.attributes);
      members.delete(id);
    },
    *members() {
      for (const [id, { attributes }] of members) yield [id, attributes];
    },
    turnedByAdding(id, attributes) {
      if (!isClusterIdentity(id)) return [];
      return [...forAllPods].filter(({ coversPods, spec }) => coversPods && !selectorMatches(spec, attributes));
    },
    turnedByRemoving(id) {
      if (!isClusterIdentity(id) || !members.has(id)) return [];
      return [...forAllPods].filter((one) => !one.members.has(id) && one.podCount === among.podCount - 1);
    },
    use(spec, user) {
      const selector = selectors.get(spec.key) ?? create(spec);
      selector.users.add(user);
      return selector;
    },
    release(spec, user) {
      const selector = selectors.get(spec.key);
      if (selector === undefined) return;
      selector.users.delete(user);
      if (selector.users.size > 0) return;
      for (const id of selector.members) members.get(id)?.selectors.delete(selector);
      selectorIndex.remove(spec, selector);
      forAllPods.delete(selector);
      selectors.delete(spec.key);
    },
    find: (spec) => selectors.get(spec.key),
    selectors: () => selectors.values(),
    get selectorCount() {
      return selectors.size;
    },
  };
}
