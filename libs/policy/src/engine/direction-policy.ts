// SPDX-License-Identifier: Apache-2.0
import type { Direction, NamedPort } from '@weir/model';
import type { PolicyEntry } from '../policy-entry.ts';
import type { NamedPortMatch, PortMatch } from '../rule.ts';
import { createSelectorSpec, labelIs, type SelectorSpec } from '../selector-spec.ts';
import { createAppliedGrants } from './applied-grants.ts';
import { type ChangeRecord, entryKey } from './change-record.ts';
import { type ActiveGrant, type Decision, isRedirect } from './decision.ts';
import type { PeerCache, PortTable } from './port-table.ts';
import { createPortTables } from './port-tables.ts';

/**
 * When policy is enforced: `default`, for whom a rule selects in a direction; `always`, for every endpoint, and for the
 * host as `default`; `never`, for nobody.
 */
export type EnforcementMode = 'default' | 'always' | 'never';

/** What is the same for all subjects of an engine. */
export interface EnforcementOptions {
  readonly mode: EnforcementMode;
  /** Whether the local host may always reach endpoints, unless a rule denies it. */
  readonly allowLocalHost: boolean;
  /** Whether the datapath can let through what no entry is about, and still look at entries. */
  readonly defaultAllow: boolean;
}

/** What a rule that selects a subject brings into one direction. */
export interface Contribution {
  readonly defaultDeny: boolean;
  readonly grants: readonly ActiveGrant[];
  readonly required?: SelectorSpec | undefined;
  readonly requiredOfDenied?: SelectorSpec | undefined;
}

/** Whose policy, in which direction. */
export interface DirectionSubject {
  readonly subject: number;
  readonly direction: Direction;
  /** The subject's own: what names of ports in ingress rules mean. */
  readonly namedPorts: readonly NamedPort[];
  readonly isHost: boolean;
}

/** The policy of one subject in one direction. */
export interface DirectionPolicy extends DirectionSubject {
  /** Whether entries count. */
  readonly isEnforced: boolean;
  /** Whether what no entry is about is let through where entries count. */
  readonly isDefaultAllow: boolean;
  /** Replaces what rules contribute; `record` is absent while nobody has seen the subject's policy. */
  change(
    contributions: { readonly added: readonly Contribution[]; readonly removed: readonly Contribution[] },
    record?: ChangeRecord,
  ): void;
  /** The decision of a peer's entry in one of the tables; undefined while nothing is enforced. */
  decision(table: PortTable, peer: number): Decision | undefined;
  entries(): Iterable<PolicyEntry>;
  /** The table of a span of ports. */
  table(match: PortMatch): PortTable | undefined;
  tables(): Iterable<PortTable>;
  /** Forgets tables that nothing is left of. Not before a change has been collected: they are part of its record. */
  prune(): void;
  /** Gives up every selector. Only after all contributions have been removed. */
  dispose(): void;
}

const everyPort: PortMatch = { protocol: 0, port: 0, prefixLength: 0 };

// Grants of Weir's own; the numbers of those that come from rules begin at 1.
const localHostGrant: ActiveGrant = {
  id: -1,
  verdict: 'allow',
  peers: [createSelectorSpec([labelIs('reserved', 'host')])],
  ports: [everyPort],
};
const allElseGrant: ActiveGrant = { id: -2, verdict: 'allow', peers: 'any', ports: [everyPort] };

/** The ports that a name stands for. */
export function resolvePortName(wanted: NamedPortMatch, named: readonly NamedPort[]): PortMatch[] {
  return named
    .filter(({ name, protocol }) => name === wanted.name && (wanted.protocol === 0 || wanted.protocol === protocol))
    .map(({ protocol, port }) => ({ protocol, port, prefixLength: 16 }));
}

/** How many rules want what, in one direction. */
interface Tally {
  defaultDenies: number;
  denials: number;
  redirects: number;
}

function tally(sum: Tally, contributions: readonly Contribution[], step: 1 | -1): void {
  for (const { defaultDeny, grants } of contributions) {
    if (defaultDeny) sum.defaultDenies += step;
    for (const grant of grants) {
      if (grant.verdict === 'deny') sum.denials += step;
      else if (isRedirect(grant)) sum.redirects += step;
    }
  }
}

/** Makes the policy of a direction that no rule says anything about. */
export function createDirectionPolicy(
  subject: DirectionSubject,
  deps: { readonly cache: PeerCache; readonly options: EnforcementOptions },
): DirectionPolicy {
  const { cache, options } = deps;
  const tables = createPortTables(() => policy, cache);
  const grants = createAppliedGrants(subject, tables);
  const sum: Tally = { defaultDenies: 0, denials: 0, redirects: 0 };
  let isEnforced = false;
  let isDefaultAllow = false;

  function touchAll(record: ChangeRecord): void {
    for (const table of tables.all()) for (const peer of table.peers()) record.touch(table, peer);
  }

  const policy: DirectionPolicy = {
    ...subject,
    get isEnforced() {
      return isEnforced;
    },
    get isDefaultAllow() {
      return isDefaultAllow;
    },
    change({ added, removed }, record) {
      tally(sum, added, 1);
      tally(sum, removed, -1);
      // A node that nobody has written a policy for is not locked out with its pods.
      const isAlways = options.mode === 'always' && !subject.isHost;
      const isAsked = isAlways || sum.defaultDenies > 0;
      const hasOther = sum.denials > 0 || (options.defaultAllow && sum.redirects > 0);
      const willEnforce = options.mode !== 'never' && (isAsked || hasOther);
      if (willEnforce !== isEnforced && record !== undefined) touchAll(record);
      grants.change({ added, removed }, record);
      const isOpen = willEnforce && !isAsked;
      grants.setBuiltIn(allElseGrant, isOpen && !options.defaultAllow, record);
      const hasLocalHost = subject.direction === 'ingress' && options.allowLocalHost && !subject.isHost;
      grants.setBuiltIn(localHostGrant, willEnforce && hasLocalHost, record);
      // Last: what the record asked about so far is what was before.
      isEnforced = willEnforce;
      isDefaultAllow = isOpen && options.defaultAllow;
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
    tables: tables.all,
    prune: tables.prune,
    dispose: grants.dispose,
  };
  return policy;
}
