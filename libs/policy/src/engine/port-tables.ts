// SPDX-License-Identifier: Apache-2.0
import type { PortMatch } from '../rule.ts';
import type { ChangeRecord } from './change-record.ts';
import type { ActiveGrant } from './decision.ts';
import type { DirectionPolicy } from './direction-policy.ts';
import { createPortTable, type PeerCache, type PortTable } from './port-table.ts';

/** The port tables of one direction of one subject's policy. */
export interface PortTables {
  /** Adds a grant to the tables of all of its ports; what it may change is noted first. */
  add(grant: ActiveGrant, record?: ChangeRecord): void;
  /** Removes a grant, likewise. Tables that become empty stay until they are pruned. */
  remove(grant: ActiveGrant, record?: ChangeRecord): void;
  get(match: PortMatch): PortTable | undefined;
  all(): Iterable<PortTable>;
  prune(): void;
}

const tableKey = ({ protocol, port }: PortMatch): number => protocol * 65_536 + port;

/** Makes tables for a direction policy; `owner` is asked for only when a grant comes. */
export function createPortTables(owner: () => DirectionPolicy, cache: PeerCache): PortTables {
  const tables = new Map<number, PortTable>();

  function tableFor(match: PortMatch): PortTable {
    const key = tableKey(match);
    const existing = tables.get(key);
    if (existing !== undefined) return existing;
    const table = createPortTable({ owner: owner(), ...match }, cache);
    tables.set(key, table);
    return table;
  }

  return {
    add(grant, record) {
      for (const match of grant.ports) {
        const table = tableFor(match);
        table.add(grant, (peer) => record?.touch(table, peer));
      }
    },
    remove(grant, record) {
      for (const match of grant.ports) {
        const table = tables.get(tableKey(match));
        table?.remove(grant, (peer) => record?.touch(table, peer));
      }
    },
    get: (match) => tables.get(tableKey(match)),
    all: () => tables.values(),
    prune() {
      for (const [key, table] of tables) if (table.isEmpty) tables.delete(key);
    },
  };
}
