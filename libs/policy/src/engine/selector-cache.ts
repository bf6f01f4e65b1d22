// SPDX-License-Identifier: Apache-2.0
import type { LabelSet } from '@weir/model';
import { assert } from '@weir/errors';
import { selectorMatches, type SelectorSpec } from '../selector-spec.ts';
import { createLabelIndex } from './label-index.ts';
import { createSelectorIndex } from './selector-index.ts';

/** A selector that somebody uses, with those it selects. Equal selectors are one object. */
export interface CachedSelector<U> {
  readonly spec: SelectorSpec;
  /** Numbers of the members that it selects. */
  readonly members: ReadonlySet<number>;
  readonly users: ReadonlySet<U>;
}

/**
 * Who is selected by what, kept up to date in both directions: a new member is compared only with selectors that share a
 * label with it, and a new selector only with members that share one with it.
 */
export interface SelectorCache<U> {
  /** Labels of a member; undefined when there is no such member. */
  labelsOf(id: number): LabelSet | undefined;
  /** The selectors that select a member. */
  selectorsOf(id: number): ReadonlySet<CachedSelector<U>>;
  /** Adds a member that is not there yet. */
  addMember(id: number, labels: LabelSet): void;
  removeMember(id: number): void;
  /** All members. */
  members(): IterableIterator<[number, LabelSet]>;
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
}

interface Member<U> {
  readonly labels: LabelSet;
  readonly selectors: Set<MutableSelector<U>>;
}

/** Makes an empty cache. */
export function createSelectorCache<U>(): SelectorCache<U> {
  const members = new Map<number, Member<U>>();
  const selectors = new Map<string, MutableSelector<U>>();
  const selectorIndex = createSelectorIndex<MutableSelector<U>>();
  const labelIndex = createLabelIndex();
  const nothing: ReadonlySet<CachedSelector<U>> = new Set();

  function link(id: number, member: Member<U>, selector: MutableSelector<U>): void {
    if (selector.members.has(id) || !selectorMatches(selector.spec, member.labels)) return;
    selector.members.add(id);
    member.selectors.add(selector);
  }

  function create(spec: SelectorSpec): MutableSelector<U> {
    const selector: MutableSelector<U> = { spec, members: new Set(), users: new Set() };
    selectors.set(spec.key, selector);
    selectorIndex.add(spec, selector);
    for (const id of labelIndex.candidates(spec) ?? members.keys()) {
      const member = members.get(id);
      if (member !== undefined) link(id, member, selector);
    }
    return selector;
  }

  return {
    labelsOf: (id) => members.get(id)?.labels,
    selectorsOf: (id) => members.get(id)?.selectors ?? nothing,
    addMember(id, labels) {
      assert(!members.has(id), `member ${id} of a selector cache is new`);
      const member: Member<U> = { labels, selectors: new Set() };
      members.set(id, member);
      labelIndex.add(id, labels);
      for (const selector of selectorIndex.candidates(labels)) link(id, member, selector);
    },
    removeMember(id) {
      const member = members.get(id);
      if (member === undefined) return;
      for (const selector of member.selectors) selector.members.delete(id);
      labelIndex.remove(id, member.labels);
      members.delete(id);
    },
    *members() {
      for (const [id, { labels }] of members) yield [id, labels];
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
      selectors.delete(spec.key);
    },
    find: (spec) => selectors.get(spec.key),
    get selectorCount() {
      return selectors.size;
    },
  };
}
