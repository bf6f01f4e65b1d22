// SPDX-License-Identifier: Apache-2.0
import { distinctPorts } from '../port-prefix.ts';
import { type ChangeRecord } from './change-record.ts';
import type { ActiveGrant } from './decision.ts';
import { type Contribution, type DirectionSubject, resolvePortName } from './direction-policy.ts';
import type { PortTable } from './port-table.ts';
import type { PortTables } from './port-tables.ts';
import { createRequiredPeers } from './required-peers.ts';

/** The grants of one direction of a subject's policy, in its port tables with what they come to for this subject. */
export interface AppliedGrants {
  /** Adds and removes what rules contribute. */
  change(
    contributions: { readonly added: readonly Contribution[]; readonly removed: readonly Contribution[] },
    record: ChangeRecord | undefined,
  ): void;
  /** Adds or removes a grant that comes from no rule. */
  setBuiltIn(grant: ActiveGrant, isWanted: boolean, record: ChangeRecord | undefined): void;
  /** Removes all that {@link AppliedGrants.setBuiltIn} added. */
  dispose(): void;
}

const noteIn = (record: ChangeRecord | undefined) => (table: PortTable, peer: number) => record?.touch(table, peer);

/** Makes grants for tables in which there is nothing yet. */
export function createAppliedGrants(subject: DirectionSubject, tables: PortTables): AppliedGrants {
  const required = createRequiredPeers();
  const builtIn = new Set<ActiveGrant>();
  /** Grants of rules with what they come to here. */
  const active = new Map<ActiveGrant, ActiveGrant>();

  function apply(grant: ActiveGrant): ActiveGrant {
    const narrowed = required.narrow(grant);
    if (grant.namedPorts === undefined) return narrowed;
    const named = grant.namedPorts.flatMap((wanted) => resolvePortName(wanted, subject.namedPorts));
    return { ...narrowed, ports: distinctPorts([...grant.ports, ...named]) };
  }

  /** Takes grants that stay to what is required now. */
  function narrowAnew(except: ReadonlySet<ActiveGrant>, record: ChangeRecord | undefined): void {
    for (const [grant, applied] of [...active]) {
      const next = apply(grant);
      if (except.has(grant) || next === applied) continue;
      active.set(grant, next);
      tables.add(next, noteIn(record));
      tables.remove(applied, noteIn(record));
    }
  }

  return {
    change({ added, removed }, record) {
      const note = noteIn(record);
      const before = required.key;
      for (const contribution of added) required.add(contribution);
      for (const contribution of removed) required.remove(contribution);
      const isNarrowedAnew = required.key !== before;
      // First what comes, so that selectors that stay are not forgotten in between.
      const comes = new Set(added.flatMap(({ grants }) => grants));
      for (const grant of comes) {
        const applied = apply(grant);
        active.set(grant, applied);
        tables.add(applied, note);
      }
      for (const grant of removed.flatMap(({ grants }) => grants)) {
        const applied = active.get(grant);
        active.delete(grant);
        if (applied !== undefined) tables.remove(applied, note);
      }
      if (isNarrowedAnew) narrowAnew(comes, record);
    },
    setBuiltIn(grant, isWanted, record) {
      if (builtIn.has(grant) === isWanted) return;
      if (isWanted) {
        builtIn.add(grant);
        tables.add(grant, noteIn(record));
      } else {
        builtIn.delete(grant);
        tables.remove(grant, noteIn(record));
      }
    },
    dispose() {
      for (const grant of builtIn) tables.remove(grant, () => undefined);
      builtIn.clear();
    },
  };
}
