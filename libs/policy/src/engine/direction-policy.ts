// SPDX-License-Identifier: Apache-2.0
import type { Direction } from '@weir/model';
import type { PolicyEntry } from '../policy-entry.ts';
import type { PortMatch } from '../rule.ts';
import { createSelectorSpec, labelIs } from '../selector-spec.ts';
import { type ChangeRecord, entryKey } from './change-record.ts';
import type { ActiveGrant, Decision } from './decision.ts';
import type { PeerCache, PortTable } from './port-table.ts';
import { createPortTables } from './port-tables.ts';

/**
 * When policy is enforced: `default`, for whom a rule selects in a direction; `always`, for everybody; `never`, for
 * nobody.
 */
export type EnforcementMode = 'default' | 'always' | 'never';

/** What is the same for all subjects of an engine. */
export interface EnforcementOptions {
  readonly mode: EnforcementMode;
  /** Whether the local host may always reach endpoints, unless a rule denies it. */
  readonly allowLocalHost: boolean;
}

/** What a rule that selects a subject brings into one direction. */
export interface Contribution {
  readonly defaultDeny: boolean;
  readonly grants: readonly ActiveGrant[];
}

/** The policy of one subject in one direction. */
export interface DirectionPolicy {
  /** The identity that it is for. */
  readonly subject: number;
  readonly direction: Direction;
  /** Whether what no entry allows is dropped. */
  readonly isEnforced: boolean;
  /** Replaces what rules contribute; `record` is absent while nobody has seen the subject's policy. */
  change(
    contributions: { readonly added: readonly Contribution[]; readonly removed: readonly Contribution[] },
    record?: ChangeRecord,
  ): void;
  /** The decision of a peer's entry in one of the tables; undefined while nothing is enforced. */
  decision(table: PortTable, peer: number): Decision | undefined;
  entries(): Iterable<PolicyEntry>;
  /** The table of a protocol and port. */
  table(match: PortMatch): PortTable | undefined;
  /** Forgets tables that nothing is left of. Not before a change has been collected: they are part of its record. */
  prune(): void;
  /** Gives up every selector. Only after all contributions have been removed. */
  dispose(): void;
}

/** Whose policy, in which direction. */
export interface DirectionSubject {
  readonly subject: number;
  readonly direction: Direction;
}

const everyPort: PortMatch = { protocol: 0, port: 0 };

// Grants of Weir's own; the numbers of those that come from rules begin at 1.
const localHostGrant: ActiveGrant = {
  id: -1,
  verdict: 'allow',
  peers: [createSelectorSpec([labelIs('reserved', 'host')])],
  ports: [everyPort],
};
const allElseGrant: ActiveGrant = { id: -2, verdict: 'allow', peers: 'any', ports: [everyPort] };

const defaultDenies = (contributions: readonly Contribution[]): number =>
  contributions.filter(({ defaultDeny }) => defaultDeny).length;

const denials = (contributions: readonly Contribution[]): number =>
  contributions.reduce((count, { grants }) => count + grants.filter(({ verdict }) => verdict === 'deny').length, 0);

/** Makes the policy of a direction that no rule says anything about. */
export function createDirectionPolicy(
  { subject, direction }: DirectionSubject,
  deps: { readonly cache: PeerCache; readonly options: EnforcementOptions },
): DirectionPolicy {
  const { cache, options } = deps;
  const tables = createPortTables(() => policy, cache);
  const builtIn = new Set<ActiveGrant>();
  let defaultDenyCount = 0;
  let denialCount = 0;
  let isEnforced = false;

  function setBuiltIn(grant: ActiveGrant, isWanted: boolean, record: ChangeRecord | undefined): void {
    if (builtIn.has(grant) === isWanted) return;
    if (isWanted) {
      builtIn.add(grant);
      tables.add(grant, record);
    } else {
      builtIn.delete(grant);
      tables.remove(grant, record);
    }
  }

  function touchAll(record: ChangeRecord): void {
    for (const table of tables.all()) for (const peer of table.peers()) record.touch(table, peer);
  }

  const policy: DirectionPolicy = {
    subject,
    direction,
    get isEnforced() {
      return isEnforced;
    },
    change({ added, removed }, record) {
      defaultDenyCount += defaultDenies(added) - defaultDenies(removed);
      denialCount += denials(added) - denials(removed);
      const isAsked = options.mode === 'always' || defaultDenyCount > 0;
      const willEnforce = options.mode !== 'never' && (isAsked || denialCount > 0);
      if (willEnforce !== isEnforced && record !== undefined) touchAll(record);
      // First what comes, so that selectors that stay are not forgotten in between.
      for (const { grants } of added) for (const grant of grants) tables.add(grant, record);
      for (const { grants } of removed) for (const grant of grants) tables.remove(grant, record);
      setBuiltIn(allElseGrant, willEnforce && !isAsked, record);
      setBuiltIn(localHostGrant, willEnforce && direction === 'ingress' && options.allowLocalHost, record);
      // Last: what the record asked about so far is what was before.
      isEnforced = willEnforce;
    },
    decision: (table, peer) => (isEnforced ? table.decision(peer) : undefined),
    *entries() {
      if (!isEnforced) return;
      for (const table of tables.all()) {
        for (const peer of new Set(table.peers())) {
          const decision = table.decision(peer);
          if (decision !== undefined) yield { ...entryKey(table, peer), ...decision };
        }
      }
    },
    table: tables.get,
    prune: tables.prune,
    dispose() {
      for (const grant of builtIn) tables.remove(grant);
      builtIn.clear();
    },
  };
  return policy;
}
