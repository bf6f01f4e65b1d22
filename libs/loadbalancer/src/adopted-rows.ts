// SPDX-License-Identifier: Apache-2.0
import {
  frontendName,
  slotNumber,
  slotPlace,
  type FrontendRow,
  type ServiceChange,
  type ServiceRows,
} from '@weir/datapath-maps';
import { parseIpAddress, protocolNumber, type Service } from '@weir/model';
import { createChangeBatch } from './change-batch.ts';
import { backendName, groupName, type RenderedParts } from './render-service.ts';
import { addDifference, nothingRendered, type RenderedGroup, type RenderedService } from './rendered-service.ts';

/** Rows that are in the kernel and belong to no service yet: those of an agent before. */
export interface AdoptedRows {
  /** What the kernel has of a service; from now on that is the service's. */
  take(service: Service): RenderedService;
  /** A frontend that nobody has claimed is no obstacle. What takes away the rest. */
  takeRest(): ServiceChange;
}

const listOf = <Key, Row>(lists: Map<Key, Row[]>, key: Key): Row[] => {
  const known = lists.get(key);
  if (known !== undefined) return known;
  const list: Row[] = [];
  lists.set(key, list);
  return list;
};

const nothingTaken = (): RenderedParts => ({
  ...{ groups: new Map(), frontends: new Map(), pools: new Map() },
  ...{ slots: new Map(), backends: new Map(), tables: new Map() },
});

/** Takes over what was read from the kernel. */
export function createAdoptedRows(rows: ServiceRows): AdoptedRows {
  const frontends = new Map(rows.frontends);
  const pools = new Map(rows.pools);
  const slots = new Map(rows.slots);
  const backends = new Map(rows.backends);
  const tables = new Map(rows.tables);
  const indexesByPool = new Map<number, number[]>();
  for (const number of slots.keys()) {
    const { pool, index } = slotPlace(number);
    listOf(indexesByPool, pool).push(index);
  }
  const idsByGroup = new Map<number, number[]>();
  for (const [id, { group }] of backends) listOf(idsByGroup, group).push(id);

  function move<Key, Row>(key: Key, { from, to }: { from: Map<Key, Row>; to: Map<Key, Row> }): Row | undefined {
    const row = from.get(key);
    if (row === undefined) return undefined;
    from.delete(key);
    to.set(key, row);
    return row;
  }

  function takeGroup(taken: RenderedParts, { group, pool }: FrontendRow): RenderedGroup | undefined {
    // A group or pool that another service has taken already: the kernel was changed by somebody else.
    if (move(pool, { from: pools, to: taken.pools }) === undefined) return undefined;
    move(pool, { from: tables, to: taken.tables });
    const ids = new Map<string, number>();
    for (const id of idsByGroup.get(group) ?? []) {
      const row = move(id, { from: backends, to: taken.backends });
      if (row !== undefined) ids.set(backendName(row), id);
    }
    const order: number[] = [];
    for (const index of indexesByPool.get(pool) ?? []) {
      const row = move(slotNumber(pool, index), { from: slots, to: taken.slots });
      if (row !== undefined) order[index] = row.backend;
    }
    return { group, pool, backends: ids, order: Array.from(order, (id) => id ?? 0) };
  }

  return {
    take(service) {
      if (frontends.size === 0) return nothingRendered;
      const taken = nothingTaken();
      for (const { address: text, port, protocol, portName } of service.frontends) {
        const address = parseIpAddress(text);
        const name = frontendName({ address, port, protocol: protocolNumber[protocol] });
        const row = move(name, { from: frontends, to: taken.frontends });
        const key = groupName(portName, address);
        if (row === undefined || taken.groups.has(key)) continue;
        const group = takeGroup(taken, row);
        if (group !== undefined) taken.groups.set(key, group);
      }
      return taken;
    },
    takeRest() {
      const rest: RenderedService = { groups: new Map(), frontends, pools, slots, backends, tables };
      const change = createChangeBatch();
      addDifference(change, { before: rest, after: nothingRendered });
      for (const each of [frontends, pools, slots, backends, tables]) each.clear();
      return change;
    },
  };
}
