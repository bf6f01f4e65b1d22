// SPDX-License-Identifier: Apache-2.0
import { type BpfMap, createMap, mapFlags } from '@weir/bpf-loader-node';
import {
  lbBackend,
  lbBackendState,
  lbFlow,
  lbFrontend,
  lbFrontendKey,
  lbPool,
  lbSelection,
  lbSlot,
  lbSlotKey,
  mapSpecs,
  toBytes,
  type LbBackendState,
  type LbSelection,
} from '@weir/datapath-layout';
import { parseIpAddress } from '@weir/model';
import type { PacketNode } from './packet-node.ts';
import { families, type Family, type Party } from './scene.ts';

/** A backend of a service: a port of a party. */
export interface TestBackend {
  readonly party: Party;
  readonly port: number;
  readonly state?: LbBackendState;
}

/** A port of a service, TCP and UDP, in both families. */
export interface TestService {
  readonly party: Party;
  readonly port: number;
  readonly backends: readonly TestBackend[];
  readonly affinityMs?: number;
  /** Random unless told. With Maglev, entries of the table are those of the active backends in turn. */
  readonly selection?: LbSelection;
  /** Callers from outside reach it, too. */
  readonly isExternal?: boolean;
}

/** The side of a packet node that gives services their backends. */
export interface ServiceNode {
  /** Puts a service in the place of what has its number, 1 to 9. Who is active gets new clients. */
  set(number: number, service: TestService): void;
  /** Takes the frontends and backends of a service away. */
  remove(number: number): void;
  /** How many translations are remembered. */
  flowCount(): number;
  /** Forgets translations. */
  forgetFlows(): void;
  /** Lets time pass for all translations. */
  pass(milliseconds: number): void;
  /** No services, nothing remembered. */
  reset(): void;
}

const u32 = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer);
const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const ticksOf = (milliseconds: number): number => Math.round((milliseconds * 1e6) / 2 ** 20);
const protocols = [6, 17] as const;
const backendsMax = 9;
/** Group and pool of a service in a family. */
const numberOf = (service: number, family: Family): number => service * 2 + (family === 'ipv6' ? 1 : 0);

const tableSize = 252;

function setTable(map: BpfMap, { pool, entries }: { pool: number; entries: (index: number) => number }): void {
  using inner = createMap({
    ...{ name: 'table', type: 'array', keySize: 4, valueSize: 8, maxEntries: tableSize / 2 },
    flags: mapFlags.mmapable | mapFlags.innerMap,
  });
  for (let index = 0; index < tableSize; index += 2) {
    inner.update(u32(index / 2), new Uint8Array(Uint32Array.of(entries(index), entries(index + 1)).buffer));
  }
  map.updateInner(u32(pool), inner);
}

function clear(map: BpfMap): void {
  const { keys, count } = map.entries();
  if (count > 0) map.deleteMany(keys.subarray(0, count * map.info.keySize));
}

/** Of any packet node. */
export function servicesOf(node: PacketNode): ServiceNode {
  const map = (subject: keyof typeof mapSpecs): BpfMap => node.object.map(mapSpecs[subject].name);
  const known = new Map<number, TestService>();

  const frontends = ({ party, port }: TestService, family: Family): Uint8Array[] =>
    protocols.map((protocol) => toBytes(lbFrontendKey, { address: parseIpAddress(party[family]), port, protocol }));

  const setFamily = (number: number, { service, family }: { service: TestService; family: Family }): void => {
    const [group, pool] = [numberOf(number, family), numberOf(number, family)];
    const ids = service.backends.map((_, index) => group * backendsMax + index);
    service.backends.forEach(({ party, port, state = lbBackendState.active }, index) => {
      const row = { address: parseIpAddress(party[family]), port, group, state };
      map('lbBackends').update(u32(ids[index] ?? 0), toBytes(lbBackend, row));
    });
    const active = ids.filter((_, index) => (service.backends[index]?.state ?? 1) === lbBackendState.active);
    active.forEach((backend, index) =>
      map('lbSlots').update(
        toBytes(lbSlotKey, { pool, index }),
        toBytes(lbSlot, { backend, other: backend, share: 0xffffffff }),
      ),
    );
    const affinityTicks = ticksOf(service.affinityMs ?? 0);
    const { selection = lbSelection.random } = service;
    const isTable = selection === lbSelection.maglev;
    if (isTable) setTable(map('lbMaglev'), { pool, entries: (index) => active[index % active.length] ?? 0 });
    const count = isTable ? tableSize : active.length;
    map('lbPools').update(u32(pool), toBytes(lbPool, { count, selection, affinityTicks }));
    for (const key of frontends(service, family)) {
      map('lbFrontends').update(key, toBytes(lbFrontend, { group, pool }));
      if (service.isExternal === true) map('lbOutside').update(key, toBytes(lbFrontend, { group, pool }));
    }
  };

  const remove: ServiceNode['remove'] = (number) => {
    const service = known.get(number);
    known.delete(number);
    for (const family of families) {
      for (const key of service === undefined ? [] : frontends(service, family)) {
        map('lbOutside').delete(key);
        map('lbFrontends').delete(key);
      }
      map('lbPools').update(u32(numberOf(number, family)), new Uint8Array(lbPool.size));
      service?.backends.forEach((_, index) =>
        map('lbBackends').delete(u32(numberOf(number, family) * backendsMax + index)),
      );
    }
  };

  return {
    set(number, service) {
      remove(number);
      known.set(number, service);
      for (const family of families) setFamily(number, { service, family });
    },
    remove,
    flowCount: () => map('lbFlows').entries().count,
    forgetFlows: () => clear(map('lbFlows')),
    pass(milliseconds) {
      const { keys, values, count } = map('lbFlows').entries();
      for (let index = 0; index < count; index++) {
        const key = keys.subarray(index * mapSpecs.lbFlows.keySize, (index + 1) * mapSpecs.lbFlows.keySize);
        const flow = lbFlow.decode(viewOf(values), index * lbFlow.size);
        map('lbFlows').update(key, toBytes(lbFlow, { ...flow, used: (flow.used - ticksOf(milliseconds)) >>> 0 }));
      }
    },
    reset() {
      for (const number of [...known.keys()]) remove(number);
      for (const subject of ['lbFlows', 'lbOutside', 'lbFrontends', 'lbBackends', 'lbSlots', 'lbAffinity'] as const) {
        clear(map(subject));
      }
    },
  };
}
