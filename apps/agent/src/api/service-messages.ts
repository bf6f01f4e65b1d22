// SPDX-License-Identifier: Apache-2.0
import { lbBackendStateNames, lbSelectionNames } from '@weir/datapath-layout';
import { slotNumber, type BackendRow, type FrontendRow, type ServiceRows } from '@weir/datapath-maps';
import { WeirError } from '@weir/errors';
import { backendName } from '@weir/loadbalancer';
import {
  backendStates,
  formatIpAddress,
  formatProtocol,
  parseIpAddress,
  serviceProtocols,
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
  return {
    address: canonical(frontend.address ?? ''),
    port: frontend.port ?? 0,
    protocol: oneOf(serviceProtocols, { field: `${field}.protocol`, value: frontend.protocol || 'TCP' }),
    portName: frontend.portName ?? '',
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

/** What a request says. Throws INVALID_ARGUMENT that names the field. */
export function serviceFromMessage(message: Message): Service {
  return {
    namespace: message.namespace || 'default',
    name: message.name ?? '',
    owner: 'api',
    frontends: (message.frontends ?? []).map((each, index) => frontendOf(each, `frontends[${index}]`)),
    backends: (message.backends ?? []).map((each, index) => backendOf(each, `backends[${index}]`)),
    affinityTimeoutS: message.affinityTimeoutS ?? 0,
    ...labelsOf('labels', message.labels),
    ...labelsOf('selector', message.selector),
  };
}

/** What a response says; `connections` by `backendName`. */
export function serviceMessage(service: Service, connections: ReadonlyMap<string, number> = new Map()): Message {
  return {
    ...service,
    frontends: [...service.frontends],
    backends: service.backends.map((backend) => {
      const name = backendName({ address: parseIpAddress(backend.address), port: backend.port });
      return { ...backend, connections: connections.get(name) ?? 0 };
    }),
  };
}

const secondsOf = (ticks: number): number => (ticks * 2 ** 20) / 1e9;

/** What is in the kernel, with the backends of each group found at once: there may be a hundred thousand. */
export interface KernelServices {
  readonly rows: ServiceRows;
  readonly connections: ReadonlyMap<number, number>;
  readonly backendsByGroup: ReadonlyMap<number, readonly (readonly [id: number, backend: BackendRow])[]>;
}

/** Sorts backends by their groups. */
export function kernelServices(rows: ServiceRows, connections: ReadonlyMap<number, number>): KernelServices {
  return { rows, connections, backendsByGroup: Map.groupBy(rows.backends, ([, { group }]) => group) };
}

/** A frontend as the kernel has it, with the part that each backend gets. */
export function kernelFrontendMessage(
  frontend: FrontendRow,
  { rows, connections, backendsByGroup }: KernelServices,
): weir.service.v1.IKernelFrontend {
  const pool = rows.pools.get(frontend.pool);
  const count = pool?.count ?? 0;
  const shares = new Map<number, number>();
  for (let index = 0; index < count; index++) {
    const slot = rows.slots.get(slotNumber(frontend.pool, index));
    if (slot === undefined) continue;
    const own = (slot.share + 1) / 2 ** 32;
    shares.set(slot.backend, (shares.get(slot.backend) ?? 0) + own / count);
    if (own < 1) shares.set(slot.other, (shares.get(slot.other) ?? 0) + (1 - own) / count);
  }
  return {
    address: formatIpAddress(frontend.address),
    port: frontend.port,
    protocol: formatProtocol(frontend.protocol),
    group: frontend.group,
    pool: frontend.pool,
    selection: lbSelectionNames[pool?.selection ?? 0] ?? '',
    affinityTimeoutS: secondsOf(pool?.affinityTicks ?? 0),
    backends: (backendsByGroup.get(frontend.group) ?? []).map(([id, backend]) => ({
      ...{ id, address: formatIpAddress(backend.address), port: backend.port },
      state: lbBackendStateNames[backend.state] ?? '',
      share: shares.get(id) ?? 0,
      connections: connections.get(id) ?? 0,
    })),
  };
}
