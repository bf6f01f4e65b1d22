// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import type { Endpoint } from './endpoint.ts';

/** What names an endpoint to a container runtime. */
export interface AttachmentName {
  readonly containerId: string;
  readonly ifName: string;
}

/** All endpoints of the node, and how many of them share a policy. */
export interface EndpointTable {
  /** A number that no endpoint has and that is not reserved. Throws RESOURCE_EXHAUSTED. */
  freeId(): number;
  /** Keeps a number from being handed out: something unknown still has it. */
  reserve(id: number): void;
  reserved(): ReadonlySet<number>;
  put(endpoint: Endpoint): Endpoint;
  delete(id: number): void;
  get(id: number): Endpoint | undefined;
  /** As {@link EndpointTable.get}, but throws NOT_FOUND. */
  require(id: number): Endpoint;
  find(name: AttachmentName): Endpoint | undefined;
  /** The endpoint that has an address, given as text in canonical form. */
  findAddress(address: string): Endpoint | undefined;
  list(): readonly Endpoint[];
  /** Numbers of the policies that some endpoint has, or is about to. */
  subjectsInUse(): Iterable<number>;
  /** Notes that an endpoint has a policy; true if it is the first one. */
  join(subject: number, id: number): boolean;
  /** Notes that an endpoint does not have a policy any more; true if it was the last one. */
  leave(subject: number, id: number): boolean;
}

const idMax = 65_535;

const nameOf = ({ containerId, ifName }: AttachmentName): string => `${containerId}/${ifName}`;

/** Makes an empty table. */
export function createEndpointTable(): EndpointTable {
  const endpoints = new Map<number, Endpoint>();
  const byName = new Map<string, number>();
  const byAddress = new Map<string, number>();
  const users = new Map<number, Set<number>>();
  const reserved = new Set<number>();
  let lastId = 0;

  const get = (id: number): Endpoint | undefined => endpoints.get(id);

  return {
    freeId() {
      for (let tries = 0; tries < idMax; tries++) {
        lastId = (lastId % idMax) + 1;
        if (!endpoints.has(lastId) && !reserved.has(lastId)) return lastId;
      }
      throw new WeirError('RESOURCE_EXHAUSTED', `All ${idMax} endpoint numbers of this node are in use`);
    },
    reserve: (id) => void reserved.add(id),
    reserved: () => reserved,
    put(endpoint) {
      endpoints.set(endpoint.record.id, endpoint);
      const { id, ipv4, ipv6 } = endpoint.record;
      byName.set(nameOf(endpoint.record), id);
      byAddress.set(ipv4, id);
      byAddress.set(ipv6, id);
      return endpoint;
    },
    delete(id) {
      const endpoint = endpoints.get(id);
      if (endpoint === undefined) return;
      endpoints.delete(id);
      const name = nameOf(endpoint.record);
      if (byName.get(name) === id) byName.delete(name);
      for (const address of [endpoint.record.ipv4, endpoint.record.ipv6]) {
        if (byAddress.get(address) === id) byAddress.delete(address);
      }
    },
    get,
    require(id) {
      const endpoint = endpoints.get(id);
      if (endpoint === undefined) throw new WeirError('NOT_FOUND', `There is no endpoint ${id} on this node`);
      return endpoint;
    },
    find: (name) => get(byName.get(nameOf(name)) ?? 0),
    findAddress: (address) => get(byAddress.get(address) ?? 0),
    list: () => [...endpoints.values()],
    subjectsInUse: () => users.keys(),
    join(subject, id) {
      const ids = users.get(subject);
      users.set(subject, (ids ?? new Set()).add(id));
      return ids === undefined;
    },
    leave(subject, id) {
      const ids = users.get(subject);
      ids?.delete(id);
      if (ids === undefined || ids.size > 0) return false;
      return users.delete(subject);
    },
  };
}
