// SPDX-License-Identifier: Apache-2.0
import { direction, policyVerdict } from '@weir/datapath-layout';
import type { Datapath, PolicyMapEntry } from '@weir/datapath-maps';
import type { EntryOrigin, HttpRule, PolicyEntry, PolicyEntryKey, RuleSet } from '@weir/policy';
import { createNumbering, type Numbering } from './numbering.ts';

const verdicts = { allow: policyVerdict.allow, deny: policyVerdict.refuse, redirect: policyVerdict.redirect } as const;

/** Policy entries as the kernel has them, with numbers for what is behind them. */
export interface PolicyTranslation {
  entry(entry: PolicyEntry): PolicyMapEntry;
  /** An entry that is to be deleted: only its key counts. */
  key(key: PolicyEntryKey): PolicyMapEntry;
  readonly ruleSets: Numbering<{ readonly ruleSet: RuleSet; readonly origins: readonly EntryOrigin[] }>;
  readonly cookies: Numbering<readonly EntryOrigin[]>;
  /** What the proxy is told. */
  ruleSetTable(): ReadonlyMap<number, readonly HttpRule[]>;
  /** Forgets numbers that no policy in the kernel uses any more. Costs nothing while no entry has been translated. */
  retain(datapath: Pick<Datapath, 'listPolicySlots' | 'listPolicy'>): void;
}

const originKey = (origins: readonly EntryOrigin[]): string =>
  origins.map(({ policy, rule, path }) => `${policy}#${rule}#${path}`).join('\n');

/** Rules behind an entry have a number (`cookie`), and so have the rule sets that the proxy is told of. */
export function createPolicyTranslation(): PolicyTranslation {
  const ruleSets: PolicyTranslation['ruleSets'] = createNumbering();
  const cookies: PolicyTranslation['cookies'] = createNumbering();
  // Entries of one rule share the list of their origins.
  let known = new WeakMap<readonly EntryOrigin[], number>();
  let isRetained = true;

  const cookieOf = (origins: readonly EntryOrigin[]): number => {
    if (origins.length === 0) return 0;
    const cookie = known.get(origins) ?? cookies.numberOf(originKey(origins), origins);
    known.set(origins, cookie);
    return cookie;
  };

  const keyOf = ({
    peerIdentity,
    protocol,
    port,
    direction: way,
  }: PolicyEntryKey): Omit<PolicyMapEntry, 'verdict'> => ({
    direction: direction[way],
    peerIdentity,
    protocol,
    port,
    ruleSet: 0,
    cookie: 0,
  });

  return {
    ruleSets,
    cookies,
    entry(entry) {
      isRetained = false;
      return {
        ...keyOf(entry),
        verdict: verdicts[entry.verdict],
        ruleSet:
          entry.ruleSet === undefined
            ? 0
            : ruleSets.numberOf(entry.ruleSet.key, { ruleSet: entry.ruleSet, origins: entry.origins }),
        cookie: cookieOf(entry.origins),
      };
    },
    key: (key) => ({ ...keyOf(key), verdict: verdicts.allow }),
    ruleSetTable: () => new Map([...ruleSets.entries()].map(([id, { ruleSet }]) => [id, ruleSet.http])),
    retain(datapath) {
      if (isRetained) return;
      isRetained = true;
      const entries = datapath.listPolicySlots().flatMap((slot) => datapath.listPolicy(slot));
      ruleSets.retain(new Set(entries.map(({ ruleSet }) => ruleSet)));
      cookies.retain(new Set(entries.map(({ cookie }) => cookie)));
      known = new WeakMap();
    },
  };
}
