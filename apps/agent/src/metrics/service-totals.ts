// SPDX-License-Identifier: Apache-2.0
import type { BackendTraffic } from '@weir/datapath-maps';
import { serviceKey } from '@weir/model';
import type { ServiceController } from '../service/service-controller.ts';

/** What has come of services, whose backends come and go: what is counted never becomes less. */
export interface ServiceTotals {
  /** Looks at the kernel's counts. */
  refresh(): void;
  /** As of the last refresh, by `namespace/name`; those that nobody has called are left out. */
  list(): ReadonlyMap<string, BackendTraffic>;
}

/** Beyond so many, services are counted together, as `otherServices`. */
const servicesMax = 1_000;

/** No name of a service. */
export const otherServices = 'other';

const nothing: BackendTraffic = { connections: 0, active: 0, sentBytes: 0, receivedBytes: 0 };

/** Adds what a backend has done since it was last looked at. One that counts less than before is another one. */
function addBackend(sum: BackendTraffic, now: BackendTraffic, before: BackendTraffic = nothing): BackendTraffic {
  const since = now.connections < before.connections ? nothing : before;
  return {
    connections: sum.connections + now.connections - since.connections,
    active: sum.active + now.active,
    sentBytes: sum.sentBytes + now.sentBytes - since.sentBytes,
    receivedBytes: sum.receivedBytes + now.receivedBytes - since.receivedBytes,
  };
}

/** Begins with what the kernel has counted already. */
export function createServiceTotals(services: Pick<ServiceController, 'list' | 'traffic'>): ServiceTotals {
  let totals = new Map<string, BackendTraffic>();
  let seen = new Map<string, ReadonlyMap<string, BackendTraffic>>();
  return {
    refresh() {
      const trafficOf = services.traffic();
      const nextTotals = new Map<string, BackendTraffic>();
      const nextSeen = new Map<string, ReadonlyMap<string, BackendTraffic>>();
      for (const key of services.list().map(serviceKey)) {
        const [known, before] = [totals.get(key), seen.get(key)];
        const now = trafficOf(key);
        if (known === undefined && [...now.values()].every(({ connections }) => connections === 0)) continue;
        let sum: BackendTraffic = { ...(known ?? nothing), active: 0 };
        for (const [name, each] of now) sum = addBackend(sum, each, before?.get(name));
        nextTotals.set(key, sum);
        nextSeen.set(key, now);
      }
      [totals, seen] = [nextTotals, nextSeen];
    },
    list() {
      if (totals.size <= servicesMax) return totals;
      const rows = [...totals];
      const others = rows.slice(servicesMax).reduce((sum, [, each]) => addBackend(sum, each), nothing);
      return new Map([...rows.slice(0, servicesMax), [otherServices, others]]);
    },
  };
}
