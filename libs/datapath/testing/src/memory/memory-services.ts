// SPDX-License-Identifier: Apache-2.0
import type {
  BackendTraffic,
  FrontendRow,
  ServiceChange,
  ServiceDatapath,
  ServiceLimits,
  ServiceRows,
} from '@weir/datapath-maps';

/** Load balancing in memory: the rows as the kernel would have them. */
export interface MemoryServices extends ServiceDatapath {
  /** Rows written and deleted since it was made. */
  readonly writes: number;
  /** Cgroup whose sockets are served. */
  readonly cgroup: string | undefined;
  /** Lets so much have come of backends; what is left out is 0. */
  setTraffic(traffic: ReadonlyMap<number, Partial<BackendTraffic>>): void;
}

const roomy: ServiceLimits = {
  ...{ frontendsMax: 100_000, poolsMax: 100_000, slotsMax: 1_000_000, backendsMax: 1_000_000, tablesMax: 65_536 },
};
const noTraffic: BackendTraffic = { connections: 0, active: 0, sentBytes: 0, receivedBytes: 0 };

function applyRows<Key, Row>(rows: Map<Key, Row>, changes: ReadonlyMap<Key, Row | undefined>): void {
  for (const [key, row] of changes) {
    if (row === undefined) rows.delete(key);
    else rows.set(key, row);
  }
}

/** Makes one without services. It outlives the agent that uses it: give it to the next one, and that is a restart. */
export function createMemoryServices(limits: ServiceLimits = roomy): MemoryServices {
  const frontends = new Map<string, FrontendRow>();
  const pools = new Map();
  const slots = new Map();
  const backends = new Map();
  const tables = new Map();
  let writes = 0;
  let cgroup: string | undefined;
  let traffic: ReadonlyMap<number, BackendTraffic> = new Map();
  const read = (): ServiceRows => ({
    frontends: new Map(frontends),
    pools: new Map(pools),
    slots: new Map(slots),
    backends: new Map(backends),
    tables: new Map(tables),
  });
  return {
    limits,
    placeTables: () => Promise.resolve(),
    apply(change: ServiceChange) {
      writes += change.frontends.size + change.pools.size + change.slots.size;
      writes += change.backends.size + change.tables.size;
      const frontendRows = [...change.frontends].map(
        ([name, row]) => [name, 'removed' in row ? undefined : row] as const,
      );
      applyRows(frontends, new Map(frontendRows));
      applyRows(pools, change.pools);
      applyRows(slots, change.slots);
      applyRows(backends, change.backends);
      applyRows(tables, change.tables);
    },
    read,
    readGradually: () => Promise.resolve({ rows: read(), traffic }),
    traffic: () => traffic,
    socketBackend: () => undefined,
    attachSockets: (path) => void (cgroup = path),
    get writes() {
      return writes;
    },
    get cgroup() {
      return cgroup;
    },
    setTraffic: (some) => (traffic = new Map([...some].map(([id, each]) => [id, { ...noTraffic, ...each }]))),
  };
}
