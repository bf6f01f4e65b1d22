// SPDX-License-Identifier: Apache-2.0
import type { FrontendRow, ServiceChange, ServiceDatapath, ServiceLimits } from '@weir/datapath-maps';

/** Load balancing in memory: the rows as the kernel would have them. */
export interface MemoryServices extends ServiceDatapath {
  /** Rows written and deleted since it was made. */
  readonly writes: number;
  /** Cgroup whose sockets are served. */
  readonly cgroup: string | undefined;
  /** Lets a backend have been chosen so many times. */
  setConnections(connections: ReadonlyMap<number, number>): void;
}

const roomy: ServiceLimits = { frontendsMax: 100_000, poolsMax: 100_000, slotsMax: 1_000_000, backendsMax: 1_000_000 };

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
  let writes = 0;
  let cgroup: string | undefined;
  let chosen: ReadonlyMap<number, number> = new Map();
  return {
    limits,
    apply(change: ServiceChange) {
      writes += change.frontends.size + change.pools.size + change.slots.size + change.backends.size;
      const frontendRows = [...change.frontends].map(
        ([name, row]) => [name, 'removed' in row ? undefined : row] as const,
      );
      applyRows(frontends, new Map(frontendRows));
      applyRows(pools, change.pools);
      applyRows(slots, change.slots);
      applyRows(backends, change.backends);
    },
    read: () => ({
      frontends: new Map(frontends),
      pools: new Map(pools),
      slots: new Map(slots),
      backends: new Map(backends),
    }),
    connections: () => chosen,
    socketBackend: () => undefined,
    attachSockets: (path) => void (cgroup = path),
    get writes() {
      return writes;
    },
    get cgroup() {
      return cgroup;
    },
    setConnections: (connections) => (chosen = connections),
  };
}
