// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { type Cidr, cidrIdentityLabels, formatCidr, identityRange, type LabelSet } from '@weir/model';
import type { LabelledIdentity } from '@weir/policy';

/** A prefix with the number that its addresses have on this node. */
export interface PrefixIdentity {
  readonly range: Cidr;
  readonly identity: number;
}

/** A policy, or a service that a policy names, and the prefixes that it names. */
export interface PrefixUser {
  /** Unlike that of any other policy or service. */
  readonly key: string;
  readonly ranges: readonly Cidr[];
}

/** The numbers of the prefixes that policies name: this node's own, one for each prefix as long as a policy names it. */
export interface PrefixIdentities {
  /**
   * Notes what policies name from now on, and returns the prefixes of those that come, each with its number. Throws
   * RESOURCE_EXHAUSTED, and then nothing has changed for a policy that it has not come to.
   */
  use(change: {
    readonly upsert: readonly PrefixUser[];
    readonly delete: readonly string[];
  }): readonly PrefixIdentity[];
  /** What no policy names any more. */
  unused(): readonly PrefixIdentity[];
  forget(prefixes: readonly PrefixIdentity[]): void;
  /** Takes over the numbers of an agent before; returns those that are of prefixes. */
  adopt(found: readonly PrefixIdentity[]): readonly PrefixIdentity[];
  labelsOf(identity: number): LabelSet | undefined;
  all(): Iterable<readonly [number, LabelSet]>;
}

/** What the policy engine is told of prefixes. */
export const labelledPrefixes = (prefixes: readonly PrefixIdentity[]): LabelledIdentity[] =>
  prefixes.map(({ range, identity }) => ({ id: identity, labels: cidrIdentityLabels(range) }));

interface Prefix extends PrefixIdentity {
  readonly labels: LabelSet;
  /** Keys of the policies that name it. */
  readonly users: Set<string>;
}

/** Starts with none. Numbers are handed out in turn, so that one that was given up rests. */
export function createPrefixIdentities(): PrefixIdentities {
  const { min, max } = identityRange.localCidr;
  const byName = new Map<string, Prefix>();
  const byIdentity = new Map<number, Prefix>();
  const namedBy = new Map<string, readonly Prefix[]>();
  let next: number = min;

  const add = (range: Cidr, identity: number): Prefix => {
    const prefix: Prefix = { range, identity, labels: cidrIdentityLabels(range), users: new Set() };
    byName.set(formatCidr(range), prefix);
    byIdentity.set(identity, prefix);
    if (identity >= next) next = identity === max ? min : identity + 1;
    return prefix;
  };

  const free = (): number => {
    if (byIdentity.size > max - min) throw new WeirError('RESOURCE_EXHAUSTED', 'No number is left for a prefix');
    while (byIdentity.has(next)) next = next === max ? min : next + 1;
    return next;
  };

  /** First what comes, so that a prefix which stays keeps its number. */
  const name = (key: string, ranges: readonly Cidr[]): readonly Prefix[] => {
    const prefixes = ranges.map((range) => byName.get(formatCidr(range)) ?? add(range, free()));
    for (const { users } of namedBy.get(key) ?? []) users.delete(key);
    for (const { users } of prefixes) users.add(key);
    if (prefixes.length === 0) namedBy.delete(key);
    else namedBy.set(key, prefixes);
    return prefixes;
  };

  return {
    use({ upsert, delete: gone }) {
      for (const key of gone) name(key, []);
      return upsert.flatMap(({ key, ranges }) => name(key, ranges));
    },
    unused: () => [...byIdentity.values()].filter(({ users }) => users.size === 0),
    forget(prefixes) {
      for (const { range, identity } of prefixes) {
        if (!byIdentity.delete(identity)) continue;
        byName.delete(formatCidr(range));
      }
    },
    adopt: (found) =>
      found.flatMap(({ range, identity }) => {
        const isOurs = identity >= min && identity <= max && !byIdentity.has(identity);
        return isOurs && !byName.has(formatCidr(range)) ? [add(range, identity)] : [];
      }),
    labelsOf: (identity) => byIdentity.get(identity)?.labels,
    *all() {
      for (const [identity, { labels }] of byIdentity) yield [identity, labels] as const;
    },
  };
}
