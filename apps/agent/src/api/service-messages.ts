// SPDX-License-Identifier: Apache-2.0
import { lbBackendStateNames, lbSelection, lbSelectionNames } from '@weir/datapath-layout';
import {
  slotNumber,
  type BackendRow,
  type BackendTraffic,
  type FrontendRow,
  type ServiceRows,
} from '@weir/datapath-maps';
import { WeirError } from '@weir/errors';
import { backendName } from '@weir/loadbalancer';
import {
  backendStates,
  formatIpAddress,
  formatProtocol,
  frontendScopes,
  parseIpAddress,
  serviceProtocols,
  serviceSelections,
  tryParseIpAddress,
  type Service,
  type ServiceBackend,
  type ServiceFrontend,
} from '@weir/model';
import type { weir } from '@weir/proto';

type Message = weir.service.v1.IService;

/** The one form of an address, or the text itself where it is none: what checks it says so. */
const canonical = (text: string): string => {
  const address = tryParseIpAddress(text);
  return address === undefined ? text : formatIpAddress(address);
};

const oneOf = <Value extends string>(
  values: readonly Value[],
  { field, value }: { readonly field: string; readonly value: string },
): Value => {
  const found = values.find((each) => each === value);
  if (found !== undefined) return found;
  throw new WeirError('INVALID_ARGUMENT', `${field}: "${value}" is not one of ${values.join(', ')}`);
};

function frontendOf(frontend: weir.service.v1.IFrontend, field: string): ServiceFrontend {
  const scope = oneOf(frontendScopes, { field: `${field}.scope`, value: frontend.scope || 'cluster' });
  return {
    address: canonical(frontend.address ?? ''),
    port: frontend.port ?? 0,
    protocol: oneOf(serviceProtocols, { field: `${field}.protocol`, value: frontend.protocol || 'TCP' }),
    portName: frontend.portName ?? '',
    // Absent where it is what it is without.
    ...(scope === 'cluster' ? {} : { scope }),
  };
}

function backendOf(backend: weir.service.v1.IBackend, field: string): ServiceBackend {
  return {
    address: canonical(backend.address ?? ''),
    port: backend.port ?? 0,
    portName: backend.portName ?? '',
    weight: backend.weight || 1,
    state: oneOf(backendStates, { field: `${field}.state`, value: backend.state || 'active' }),
    node: backend.node ?? '',
    zone: backend.zone ?? '',
    ...(backend.zoneHints?.length && { zoneHints: backend.zoneHints.toSorted() }),
  };
}

/** Those that there are, in one order, so that equal services are equal. */
const labelsOf = <Field extends 'labels' | 'selector'>(
  field: Field,
  labels: Readonly<Record<string, string>> | null | undefined,
): { readonly [F in Field]?: Readonly<Record<string, string>> } => {
  const pairs = Object.entries(labels ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  return pairs.length === 0 ? {} : ({ [field]: Object.fromEntries(pairs) } as Record<Field, Record<string, string>>);
};

/** Absent where it is what it is without. */
function selectionOf(text: string | null | undefined): Pick<Service, 'selection'> {
  const selection = oneOf(serviceSelections, { field: 'selection', value: text || 'random' });
  return selection === 'random' ? {} : { selection };
}

/** What a request says. Throws INVALID_ARGUMENT that names the field. */
export function serviceFromMessage(message: Message): Service {
  return {
    namespace: message.namespace || 'default',
    name: message.name ?? '',
    owner: 'api',
    frontends: (message.frontends ?? []).map((each, index) => frontendOf(each, `frontends[${index}]`)),
    backends: (message.backends ?? []).map((each, index) => backendOf(each, `backends[${index}]`)),
    affinityTimeoutS: message.affinityTimeoutS ?? 0,
    ...selectionOf(message.selection),
    ...labelsOf('labels', message.labels),
    ...labelsOf('selector', message.selector),
  };
}

/** What a response says; `traffic` by `backendName`. */
export function serviceMessage(service: Service, traffic?: ReadonlyMap<string, BackendTraffic>): Message {
  return {
    ...service,
    selection: service.selection ?? 'random',
    frontends: service.frontends.map((frontend) => ({ ...frontend, scope: frontend.scope ?? 'cluster' })),
    backends: service.backends.map(({ zoneHints = [], ...backend }) => ({
      ...{ ...backend, zoneHints: [...zoneHints] },
      ...traffic?.get(backendName({ address: parseIpAddress(backend.address), port: backend.port })),
    })),
  };
}

const secondsOf = (ticks: number): number => (ticks * 2 ** 20) / 1e9;

/** What is in the kernel, with the backends of each group found at once: there may be a hundred thousand. */
export interface KernelServices {
  readonly rows: ServiceRows;
  readonly traffic: ReadonlyMap<number, BackendTraffic>;
  readonly backendsByGroup: ReadonlyMap<number, readonly (readonly [id: number, backend: BackendRow])[]>;
}

/** Sorts backends by their groups. */
export function kernelServices(rows: ServiceRows, traffic: ReadonlyMap<number, BackendTraffic>): KernelServices {
  return { rows, traffic, backendsByGroup: Map.groupBy(rows.backends, ([, { group }]) => group) };
}

/** The part of new clients that each backend gets. */
function sharesOf({ rows }: KernelServices, number: number): Map<number, number> {
  const count = rows.pools.get(number)?.count ?? 0;
  const shares = new Map<number, number>();
  const add = (id: number, share: number): void => void shares.set(id, (shares.get(id) ?? 0) + share / count);
  if (rows.pools.get(number)?.selection === lbSelection.maglev) {
    for (const id of rows.tables.get(number)?.subarray(0, count) ?? []) add(id, 1);
    return shares;
  }
  for (let index = 0; index < count; index++) {
    const slot = rows.slots.get(slotNumber(number, index));
    if (slot === undefined) continue;
    const own = (slot.share + 1) / 2 ** 32;
    add(slot.backend, own);
    if (own < 1) add(slot.other, 1 - own);
  }
  return shares;
}

/** As it is called on the command line. */
const selectionName = (selection: number): string =>
  (lbSelectionNames[selection] ?? '').replace(/[A-Z]/, (letter) => `-${letter.toLowerCase()}`);

/** A frontend as the kernel has it, with the part that each backend gets. */
export function kernelFrontendMessage(frontend: FrontendRow, kernel: KernelServices): weir.service.v1.IKernelFrontend {
  const pool = kernel.rows.pools.get(frontend.pool);
  const shares = sharesOf(kernel, frontend.pool);
  return {
    address: formatIpAddress(frontend.address),
    port: frontend.port,
    protocol: formatProtocol(frontend.protocol),
    group: frontend.group,
    pool: frontend.pool,
    selection: selectionName(pool?.selection ?? 0),
    affinityTimeoutS: secondsOf(pool?.affinityTicks ?? 0),
    scope: frontend.isExternal ? 'external' : 'cluster',
    backends: (kernel.backendsByGroup.get(frontend.group) ?? []).map(([id, backend]) => ({
      ...{ id, address: formatIpAddress(backend.address), port: backend.port },
      state: lbBackendStateNames[backend.state] ?? '',
      share: shares.get(id) ?? 0,
      connections: kernel.traffic.get(id)?.connections ?? 0,
    })),
  };
}
