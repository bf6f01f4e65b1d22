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

/**
 * Makes an empty cache. `isForAllPods` tells of a selector whether it selects all pods by what every pod has: it covers
 * them as long as no member that should be a pod lacks it.
 */
export function createSelectorCache<U>(isForAllPods: (spec: SelectorSpec) => boolean = () => false): SelectorCache<U> {
  const members = new Map<number, Member<U>>();
  const selectors = new Map<string, MutableSelector<U>>();
  const forAllPods = new Set<MutableSelector<U>>();
  const selectorIndex = createSelectorIndex<MutableSelector<U>>();
  const labelIndex = createLabelIndex();
  const nothing: ReadonlySet<CachedSelector<U>> = new Set();
  let podCount = 0;

  function link(id: number, member: Member<U>, selector: MutableSelector<U>): void {
    if (selector.members.has(id) || !selectorMatches(selector.spec, member.attributes)) return;
    selector.members.add(id);
    member.selectors.add(selector);
    if (forAllPods.has(selector) && isClusterIdentity(id)) selector.podCount++;
  }

  function create(spec: SelectorSpec): MutableSelector<U> {
    const selector: MutableSelector<U> = {
      spec,
      members: new Set(),
      users: new Set(),
      podCount: 0,
      get coversPods() {
        return forAllPods.has(selector) && selector.podCount === podCount;
      },
    };
    if (isForAllPods(spec)) forAllPods.add(selector);
    selectors.set(spec.key, selector);
    selectorIndex.add(spec, selector);
    for (const id of labelIndex.candidates(spec) ?? members.keys()) {
      const member = members.get(id);
      if (member !== undefined) link(id, member, selector);
    }
    return selector;
  }

  return {
    attributesOf: (id) => members.get(id)?.attributes,
    selectorsOf: (id) => members.get(id)?.selectors ?? nothing,
    addMember(id, attributes) {
      assert(!members.has(id), `member ${id} of a selector cache is new`);
      const member: Member<U> = { attributes, selectors: new Set() };
      members.set(id, member);
      if (isClusterIdentity(id)) podCount++;
      labelIndex.add(id, attributes);
      for (const selector of selectorIndex.candidates(attributes)) link(id, member, selector);
    },
    removeMember(id) {
      const member = members.get(id);
      if (member === undefined) return;
      const isPod = isClusterIdentity(id);
      for (const selector of member.selectors) {
        selector.members.delete(id);
        if (isPod && forAllPods.has(selector)) selector.podCount--;
      }
      if (isPod) podCount--;
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
      return [...forAllPods].filter((selector) => !selector.members.has(id) && selector.podCount === podCount - 1);
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
    get selectorCount() {
      return selectors.size;
    },
  };
}
