// SPDX-License-Identifier: Apache-2.0
import { direction, policyVerdict } from '@weir/datapath-layout';
import type { Datapath, PolicyContent, PolicyMapEntry, PolicyMapKey } from '@weir/datapath-maps';
import type { EntryOrigin, HttpRule, PolicyEntry, PolicyEntryKey, ResolvedPolicy, RuleSet } from '@weir/policy';
import { createNumbering, type Numbering } from './numbering.ts';

const verdicts = { allow: policyVerdict.allow, deny: policyVerdict.refuse, redirect: policyVerdict.redirect } as const;

/** Policy entries as the kernel has them, with numbers for what is behind them. */
export interface PolicyTranslation {
  entry(entry: PolicyEntry): PolicyMapEntry;
  /** What an entry that is to be deleted is found by. */
  key(key: PolicyEntryKey): PolicyMapKey;
  /** A whole policy; that of a subject which is not one any more lets everything through. */
  content(policy: ResolvedPolicy | undefined): PolicyContent;
  readonly ruleSets: Numbering<{ readonly ruleSet: RuleSet; readonly origins: readonly EntryOrigin[] }>;
  readonly cookies: Numbering<readonly EntryOrigin[]>;
  /** What the proxy is told. */
  ruleSetTable(): ReadonlyMap<number, readonly HttpRule[]>;
  /** Forgets numbers that no policy in the kernel uses any more. Costs nothing while no entry has been translated. */
  retain(datapath: Pick<Datapath, 'listPolicySlots' | 'listPolicy'>): void;
}

/** Is told what new numbers stand for. */
export interface NumberFeed {
  readonly cookie: (number: number, origins: readonly EntryOrigin[]) => void;
  readonly ruleSet: (number: number, origins: readonly EntryOrigin[]) => void;
}

const portBits = 16;

const originKey = (origins: readonly EntryOrigin[]): string =>
  origins.map(({ policy, rule, path }) => `${policy}#${rule}#${path}`).join('\n');

const keyOf = ({ direction: way, peerIdentity, protocol, port, portPrefixLength }: PolicyEntryKey): PolicyMapKey => ({
  direction: direction[way],
  peerIdentity,
  protocol,
  port,
  // What the port says already is left out, so that keys are the same however they came to be.
  ...(portPrefixLength !== undefined && portPrefixLength % portBits !== 0 && { portPrefixLength }),
});

/** Rules behind an entry have a number (`cookie`), and so have the rule sets that the proxy is told of. */
export function createPolicyTranslation(feed?: NumberFeed): PolicyTranslation {
  const ruleSets: PolicyTranslation['ruleSets'] = createNumbering((number, { origins }) =>
    feed?.ruleSet(number, origins),
  );
  const cookies: PolicyTranslation['cookies'] = createNumbering((number, origins) => feed?.cookie(number, origins));
  // Entries of one rule share the list of their origins.
  let known = new WeakMap<readonly EntryOrigin[], number>();
  let knownRuleSets = new WeakMap<readonly EntryOrigin[], number>();
  let isRetained = true;

  const cookieOf = (origins: readonly EntryOrigin[]): number => {
    if (origins.length === 0) return 0;
    const cookie = known.get(origins) ?? cookies.numberOf(originKey(origins), origins);
    known.set(origins, cookie);
    return cookie;
  };

  /** Rules that two policies have alike are two sets: calls are let through or denied in the name of one of them. */
  const ruleSetOf = ({ ruleSet, origins }: PolicyEntry): number => {
    if (ruleSet === undefined) return 0;
    const number =
      knownRuleSets.get(origins) ?? ruleSets.numberOf(`${ruleSet.key}\n${originKey(origins)}`, { ruleSet, origins });
    knownRuleSets.set(origins, number);
    return number;
  };

  const entryOf = (entry: PolicyEntry): PolicyMapEntry => {
    isRetained = false;
    const ruleSet = ruleSetOf(entry);
    return { ...keyOf(entry), verdict: verdicts[entry.verdict], ruleSet, cookie: cookieOf(entry.origins) };
  };

  return {
    ruleSets,
    cookies,
    entry: entryOf,
    key: keyOf,
    content: (policy) => ({
      ingressEnforced: policy?.ingressEnforced ?? false,
      egressEnforced: policy?.egressEnforced ?? false,
      ingressDefaultAllow: policy?.ingressDefaultAllow ?? false,
      egressDefaultAllow: policy?.egressDefaultAllow ?? false,
      entries: policy?.entries.map(entryOf) ?? [],
    }),
    ruleSetTable: () => new Map([...ruleSets.entries()].map(([id, { ruleSet }]) => [id, ruleSet.http])),
    retain(datapath) {
      if (isRetained) return;
      isRetained = true;
      const entries = datapath.listPolicySlots().flatMap((slot) => datapath.listPolicy(slot));
      ruleSets.retain(new Set(entries.map(({ ruleSet }) => ruleSet)));
      cookies.retain(new Set(entries.map(({ cookie }) => cookie)));
      known = new WeakMap();
      knownRuleSets = new WeakMap();
    },
  };
}
