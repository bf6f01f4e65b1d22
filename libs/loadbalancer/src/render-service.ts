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
import type { RenderedGroup, RenderedService } from './rendered-service.ts';

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

interface ParsedBackend extends ServiceBackend {
  readonly bytes: Uint8Array;
  readonly key: string;
}

interface Parts {
  readonly groups: Map<string, RenderedGroup>;
  readonly frontends: Map<string, FrontendRow>;
  readonly pools: Map<number, PoolRow>;
  readonly slots: Map<number, SlotRow>;
  readonly backends: Map<number, BackendRow>;
}

/** Name of a group: the port's name and the family, which a client cannot change. */
export const groupName = (portName: string, address: Uint8Array): string => `${portName}/${isIpv4(address) ? 4 : 6}`;

function backendsByGroup({ backends }: Service): Map<string, ParsedBackend[]> {
  const byGroup = new Map<string, ParsedBackend[]>();
  for (const backend of backends) {
    const bytes = parseIpAddress(backend.address);
    const parsed = { ...backend, bytes, key: backendName({ address: bytes, port: backend.port }) };
    const name = groupName(backend.portName, bytes);
    const others = byGroup.get(name);
    if (others === undefined) byGroup.set(name, [parsed]);
    else others.push(parsed);
  }
  return byGroup;
}

/** Those that new clients go to: the active ones, or when there are none those that are about to end. */
function chosenBackends(backends: readonly ParsedBackend[]): readonly ParsedBackend[] {
  const active = backends.filter(({ state }) => state === 'active');
  return active.length > 0 ? active : backends.filter(({ state }) => state === 'terminating');
}

interface GroupInput {
  readonly before: RenderedGroup | undefined;
  readonly backends: readonly ParsedBackend[];
  readonly affinityTicks: number;
  readonly numbers: NewNumbers;
}

function renderGroup(parts: Parts, { before, backends, affinityTicks, numbers }: GroupInput): RenderedGroup {
  const group = before?.group ?? numbers.group();
  const pool = before?.pool ?? numbers.pool();
  const ids = new Map(backends.map(({ key }) => [key, before?.backends.get(key) ?? numbers.backend()]));
  for (const { bytes, port, state, key } of backends) {
    parts.backends.set(ids.get(key) ?? 0, { address: bytes, port, group, state: lbBackendState[state] });
  }
  const weights = new Map(chosenBackends(backends).map(({ key, weight }) => [ids.get(key) ?? 0, weight]));
  const order = arrange(before?.order ?? [], new Set(weights.keys()));
  const columns = aliasTable(order.map((id) => weights.get(id) ?? 0));
  columns.forEach(({ other, share }, index) => {
    parts.slots.set(slotNumber(pool, index), { backend: order[index] ?? 0, other: order[other] ?? 0, share });
  });
  parts.pools.set(pool, { count: order.length, selection: lbSelection.random, affinityTicks });
  return { group, pool, backends: ids, order };
}

/** The rows of a service, with the numbers that it has already. */
export function renderService(
  service: Service,
  { before, numbers }: { readonly before: RenderedService; readonly numbers: NewNumbers },
): RenderedService {
  const parts: Parts = {
    groups: new Map(),
    frontends: new Map(),
    pools: new Map(),
    slots: new Map(),
    backends: new Map(),
  };
  const byGroup = backendsByGroup(service);
  const affinityTicks = ticksOf(service.affinityTimeoutS);
  for (const { address: text, port, protocol, portName } of service.frontends) {
    const address = parseIpAddress(text);
    const name = groupName(portName, address);
    let group = parts.groups.get(name);
    if (group === undefined) {
      const backends = byGroup.get(name) ?? [];
      group = renderGroup(parts, { before: before.groups.get(name), backends, affinityTicks, numbers });
      parts.groups.set(name, group);
    }
    const row = { address, port, protocol: protocolNumber[protocol], group: group.group, pool: group.pool };
    parts.frontends.set(frontendName(row), row);
  }
  return parts;
}
