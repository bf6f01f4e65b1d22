// SPDX-License-Identifier: Apache-2.0
import { portSpanContains, portSpanKey, prefixOf } from '../port-prefix.ts';
import type { PortMatch } from '../rule.ts';
import type { ActiveGrant } from './decision.ts';
import type { DirectionPolicy } from './direction-policy.ts';
import { type BeforeChange, createPortTable, type PeerCache, type PortTable } from './port-table.ts';

/** The port tables of one direction of one subject's policy. */
export interface PortTables {
  /** Adds a grant to the tables of all of its ports; what it may change is noted first. */
  add(grant: ActiveGrant, beforeChange: BeforeChange): void;
  /** Removes a grant, likewise. Tables that become empty stay until they are pruned. */
  remove(grant: ActiveGrant, beforeChange: BeforeChange): void;
  get(match: PortMatch): PortTable | undefined;
  all(): Iterable<PortTable>;
  prune(): void;
}

/** Makes tables for a direction policy; `owner` is asked for only when a grant comes. */
export function createPortTables(owner: () => DirectionPolicy, cache: PeerCache): PortTables {
  const tables = new Map<number, PortTable>();

  function relate(table: PortTable): void {
    for (const other of tables.values()) {
      if (portSpanContains({ outer: other, inner: table })) {
        table.wider.add(other);
        other.narrower.add(table);
      } else if (portSpanContains({ outer: table, inner: other })) {
        table.narrower.add(other);
        other.wider.add(table);
      }
    }
  }

  function tableFor(match: PortMatch): PortTable {
    const key = portSpanKey(match);
    const existing = tables.get(key);
    if (existing !== undefined) return existing;
    const table = createPortTable({ owner: owner(), protocol: match.protocol, ...prefixOf(match) }, cache);
    relate(table);
    tables.set(key, table);
    return table;
  }

  function forget(key: number, table: PortTable): void {
    for (const other of table.wider) other.narrower.delete(table);
    for (const other of table.narrower) other.wider.delete(table);
    tables.delete(key);
  }

  return {
    add(grant, beforeChange) {
      for (const match of grant.ports) tableFor(match).add(grant, beforeChange);
    },
    remove(grant, beforeChange) {
      for (const match of grant.ports) tables.get(portSpanKey(match))?.remove(grant, beforeChange);
    },
    get: (match) => tables.get(portSpanKey(match)),
    all: () => tables.values(),
    prune() {
      for (const [key, table] of tables) if (table.grants.isEmpty) forget(key, table);
    },
  };
}
