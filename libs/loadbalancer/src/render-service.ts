// SPDX-License-Identifier: Apache-2.0
import { lbBackendState, lbSelection } from '@weir/datapath-layout';
import {
  frontendName,
  slotNumber,
  type BackendRow,
  type FrontendRow,
  type PoolRow,
  type SlotRow,
} from '@weir/datapath-maps';
import { isIpv4, parseIpAddress, protocolNumber, type Service, type ServiceBackend } from '@weir/model';
import { aliasTable } from './alias-table.ts';
import { arrange } from './arrange.ts';
import { type BuiltTables, maglevRequest, type MaglevRequest } from './maglev-source.ts';
import { maglevTable } from './maglev-table.ts';
import type { BuiltTable, RenderedGroup, RenderedService } from './rendered-service.ts';

/** Where numbers come from that a service does not have yet. */
export interface NewNumbers {
  readonly group: () => number;
  readonly pool: () => number;
  readonly backend: () => number;
}

// Ticks are 2^20 ns: what the programs count time in.
const ticksOf = (seconds: number): number => Math.round((seconds * 1e9) / 2 ** 20);

/** What tells the backends of a group apart. */
export const backendName = ({ address, port }: { readonly address: Uint8Array; readonly port: number }): string =>
  `${String.fromCharCode(...address)}${port}`;

interface ParsedBackend extends Pick<ServiceBackend, 'port' | 'weight' | 'state' | 'zoneHints'> {
  readonly bytes: Uint8Array;
  readonly key: string;
}

/** Rows of one service, by what they are found by. */
export interface RenderedParts {
  readonly groups: Map<string, RenderedGroup>;
  readonly frontends: Map<string, FrontendRow>;
  readonly pools: Map<number, PoolRow>;
  readonly slots: Map<number, SlotRow>;
  readonly backends: Map<number, BackendRow>;
  readonly tables: Map<number, Uint32Array>;
}

/** Name of a group: the port's name and the family, which a client cannot change. */
export const groupName = (portName: string, address: Uint8Array): string => `${portName}/${isIpv4(address) ? 4 : 6}`;

function backendsByGroup({ backends }: Service): Map<string, ParsedBackend[]> {
  const byGroup = new Map<string, ParsedBackend[]>();
  for (const backend of backends) {
    const bytes = parseIpAddress(backend.address);
    const { port, weight, state } = backend;
    const parsed: ParsedBackend = {
      ...{ port, weight, state, bytes, key: backendName({ address: bytes, port }) },
      ...(backend.zoneHints && { zoneHints: backend.zoneHints }),
    };
    const name = groupName(backend.portName, bytes);
    const others = byGroup.get(name);
    if (others === undefined) byGroup.set(name, [parsed]);
    else others.push(parsed);
  }
  return byGroup;
}

/**
 * Those that new clients go to: the active ones, or when there are none those that are about to end; of these, where all say
 * which zones they are for and any is for the node's, the latter. One without a hint would be left to nobody.
 */
function chosenBackends(backends: readonly ParsedBackend[], zone: string): readonly ParsedBackend[] {
  const active = backends.filter(({ state }) => state === 'active');
  const usable = active.length > 0 ? active : backends.filter(({ state }) => state === 'terminating');
  if (zone === '' || usable.some(({ zoneHints = [] }) => zoneHints.length === 0)) return usable;
  const near = usable.filter(({ zoneHints = [] }) => zoneHints.includes(zone));
  return near.length > 0 ? near : usable;
}

interface GroupInput extends RenderOptions {
  readonly service: Service;
  readonly group: RenderedGroup | undefined;
  readonly backends: readonly ParsedBackend[];
}

interface PoolInput extends GroupInput {
  readonly pool: number;
  readonly ids: ReadonlyMap<string, number>;
  readonly chosen: readonly ParsedBackend[];
}

/** One slot a backend; returns their order. */
function renderSlots(parts: RenderedParts, { service, group, pool, ids, chosen }: PoolInput): readonly number[] {
  const weights = new Map(chosen.map(({ key, weight }) => [ids.get(key) ?? 0, weight]));
  const order = arrange(group?.order ?? [], new Set(weights.keys()));
  const columns = aliasTable(order.map((id) => weights.get(id) ?? 0));
  columns.forEach(({ other, share }, index) => {
    parts.slots.set(slotNumber(pool, index), { backend: order[index] ?? 0, other: order[other] ?? 0, share });
  });
  const selection = service.selection === 'round-robin' ? lbSelection.roundRobin : lbSelection.random;
  parts.pools.set(pool, { count: order.length, selection, affinityTicks: ticksOf(service.affinityTimeoutS) });
  return order;
}

/** A table of the hashes of flows instead of slots. */
function renderTable(parts: RenderedParts, input: PoolInput): BuiltTable | undefined {
  const { service, before, group, pool, ids, chosen, maglev } = input;
  const affinityTicks = ticksOf(service.affinityTimeoutS);
  const count = chosen.length === 0 ? 0 : maglev.size;
  parts.pools.set(pool, { count, selection: lbSelection.maglev, affinityTicks });
  if (count === 0) return undefined;
  const { signature, items } = maglevRequest(chosen, maglev.size);
  const known = group?.maglev?.signature === signature ? group.maglev : undefined;
  const indexes = known?.indexes ?? maglev.built?.get(signature) ?? maglevTable(items, maglev.size);
  const numbers = items.map(({ key }) => ids.get(key) ?? 0);
  const same = known === undefined ? undefined : before.tables.get(pool);
  parts.tables.set(pool, same ?? Uint32Array.from(indexes, (index) => numbers[index] ?? 0));
  return { signature, indexes };
}

function renderGroup(parts: RenderedParts, input: GroupInput): RenderedGroup {
  const { service, group: known, backends, numbers } = input;
  const group = known?.group ?? numbers.group();
  const pool = known?.pool ?? numbers.pool();
  const ids = new Map<string, number>();
  for (const { bytes, port, state, key } of backends) {
    const id = known?.backends.get(key) ?? numbers.backend();
    ids.set(key, id);
    parts.backends.set(id, { address: bytes, port, group, state: lbBackendState[state] });
  }
  const poolInput = { ...input, pool, ids, chosen: chosenBackends(backends, input.zone) };
  if (service.selection !== 'maglev') return { group, pool, backends: ids, order: renderSlots(parts, poolInput) };
  const maglev = renderTable(parts, poolInput);
  return { group, pool, backends: ids, order: [], ...(maglev && { maglev }) };
}

/** Of all services that have none. */
const noTables = new Map<number, never>();

/** What a service becomes rows with. */
export interface RenderOptions {
  /** The numbers that it has already. */
  readonly before: RenderedService;
  readonly numbers: NewNumbers;
  readonly maglev: MaglevSettings;
  /** Of this node; empty: nobody knows. */
  readonly zone: string;
}

export interface MaglevSettings {
  readonly size: number;
  /** Made beforehand; others are made at once. */
  readonly built?: BuiltTables;
}

/** The rows of a service, with the numbers that it has already. */
export function renderService(service: Service, options: RenderOptions): RenderedService {
  const parts: RenderedParts = {
    groups: new Map(),
    frontends: new Map(),
    pools: new Map(),
    slots: new Map(),
    backends: new Map(),
    tables: service.selection === 'maglev' ? new Map() : noTables,
  };
  const byGroup = backendsByGroup(service);
  for (const { address: text, port, protocol, portName, scope } of service.frontends) {
    const address = parseIpAddress(text);
    const name = groupName(portName, address);
    let group = parts.groups.get(name);
    if (group === undefined) {
      const backends = byGroup.get(name) ?? [];
      group = renderGroup(parts, { ...options, service, group: options.before.groups.get(name), backends });
      parts.groups.set(name, group);
    }
    const row = {
      ...{ address, port, protocol: protocolNumber[protocol], group: group.group, pool: group.pool },
      isExternal: scope === 'external',
    };
    parts.frontends.set(frontendName(row), row);
  }
  return parts;
}

/** The tables that a service needs, but for those that it has. */
export function tablesWanted(
  service: Service,
  { before, size, zone }: { readonly before: RenderedService; readonly size: number; readonly zone: string },
): MaglevRequest[] {
  if (service.selection !== 'maglev') return [];
  const byGroup = backendsByGroup(service);
  const names = new Set(service.frontends.map(({ portName, address }) => groupName(portName, parseIpAddress(address))));
  return [...names].flatMap((name) => {
    const chosen = chosenBackends(byGroup.get(name) ?? [], zone);
    const request = maglevRequest(chosen, size);
    return chosen.length === 0 || before.groups.get(name)?.maglev?.signature === request.signature ? [] : [request];
  });
}
