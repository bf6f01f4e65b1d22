// SPDX-License-Identifier: Apache-2.0
import { frontendName, type ServiceChange, type ServiceLimits, type ServiceRows } from '@weir/datapath-maps';
import { WeirError } from '@weir/errors';
import {
  formatServiceFrontend,
  parseIpAddress,
  protocolNumber,
  type Service,
  serviceKey,
  serviceProblem,
} from '@weir/model';
import { createAdoptedRows } from './adopted-rows.ts';
import { addChange, type ChangeBatch, createChangeBatch } from './change-batch.ts';
import type { BuiltTables, MaglevRequest } from './maglev-source.ts';
import { maglevTableSizeDefault } from './maglev-table.ts';
import { renderService, tablesWanted } from './render-service.ts';
import { addDifference, nothingRendered, type RenderedService } from './rendered-service.ts';
import { createRowAccount } from './row-account.ts';
import { createServiceNumbers } from './service-numbers.ts';

export interface ServiceTableOptions {
  /** What is in the kernel. Services that are given first take over what is theirs. */
  readonly rows: ServiceRows;
  readonly limits: ServiceLimits;
  /** Where new numbers begin: at random, so that what the kernel remembers of a former run means nothing. */
  readonly numbersFrom?: number;
  /** Entries of a Maglev table: one of `maglevTableSizes`. */
  readonly maglevTableSize?: number;
  /** The zone of this node, for backends with hints; unknown unless told. */
  readonly zone?: string;
}

export interface UpsertOptions {
  /** Maglev tables that were made beforehand. */
  readonly built?: BuiltTables;
  /** The change of other services that this one is added to, which is returned then. */
  readonly into?: ChangeBatch;
}

/** The services of a node, and what they are in the kernel. */
export interface ServiceTable {
  /**
   * Takes a service in, and returns what must change in the kernel. Throws, with nothing changed, INVALID_ARGUMENT that names
   * the field, ALREADY_EXISTS when an address is another service's, FAILED_PRECONDITION when the service belongs to another
   * owner, RESOURCE_EXHAUSTED when there is no room.
   */
  upsert(service: Service, options?: UpsertOptions): ServiceChange;
  /** The Maglev tables that `upsert` would have to make. None of a service that it would refuse for itself. */
  tablesWanted(service: Service): readonly MaglevRequest[];
  /** Throws NOT_FOUND, or FAILED_PRECONDITION when it belongs to another owner. */
  delete(key: string, owner: Service['owner'], into?: ChangeBatch): ServiceChange;
  get(key: string): Service | undefined;
  list(): readonly Service[];
  /** Numbers that the backends of a service have in the kernel, in the service's order; undefined: it has none. */
  backendNumbers(key: string): ReadonlyMap<string, number>;
  /** What takes away what no service has claimed: when all that were known before have been given. */
  takeRest(into?: ChangeBatch): ServiceChange;
}

interface Entry {
  readonly service: Service;
  readonly rendered: RenderedService;
}

function refuseOwner({ owner, ...service }: Service, asking: Service['owner']): void {
  if (owner === asking) return;
  const message = `The service "${serviceKey(service)}" belongs to ${owner}; only that may change it`;
  throw new WeirError('FAILED_PRECONDITION', message);
}

/** Refuses a service whose addresses are another's; `owners` has the service of each frontend. */
function refuseClash(service: Service, owners: ReadonlyMap<string, string>): void {
  for (const frontend of service.frontends) {
    const { address, port, protocol } = frontend;
    const row = { address: parseIpAddress(address), port, protocol: protocolNumber[protocol] };
    const owner = owners.get(frontendName(row));
    if (owner === undefined || owner === serviceKey(service)) continue;
    const text = formatServiceFrontend({ ...frontend, portName: '' });
    throw new WeirError('ALREADY_EXISTS', `The frontend ${text} belongs to the service "${owner}"`);
  }
}

interface Move {
  readonly before: RenderedService;
  readonly after: RenderedService;
  readonly into: ChangeBatch;
}

const noTables: BuiltTables = new Map();

/** Makes a table without services. */
export function createServiceTable(options: ServiceTableOptions): ServiceTable {
  const { rows, limits, numbersFrom = 0, maglevTableSize = maglevTableSizeDefault, zone = '' } = options;
  const entries = new Map<string, Entry>();
  const owners = new Map<string, string>();
  const adopted = createAdoptedRows(rows);
  const numbers = createServiceNumbers(rows, { limits, start: numbersFrom });
  const account = createRowAccount(rows, limits);

  /** From now on, the service is what `after` says. */
  const move = (key: string, { before, after, into }: Move): ServiceChange => {
    numbers.release(before, after);
    account.add(before, after);
    for (const name of before.frontends.keys()) owners.delete(name);
    for (const name of after.frontends.keys()) owners.set(name, key);
    addDifference(into, { before, after });
    return into;
  };

  return {
    upsert(service, { built = noTables, into = createChangeBatch() } = {}) {
      const problem = serviceProblem(service);
      if (problem !== undefined) throw new WeirError('INVALID_ARGUMENT', problem);
      const key = serviceKey(service);
      const known = entries.get(key);
      if (known !== undefined) refuseOwner(known.service, service.owner);
      refuseClash(service, owners);
      const before = known?.rendered ?? adopted.take(service);
      const after = numbers.taking((fresh) => {
        const rendered = renderService(service, {
          before,
          numbers: fresh,
          maglev: { size: maglevTableSize, built },
          zone,
        });
        account.check(before, rendered);
        return rendered;
      });
      entries.set(key, { service, rendered: after });
      return move(key, { before, after, into });
    },
    delete(key, owner, into = createChangeBatch()) {
      const entry = entries.get(key);
      if (entry === undefined) throw new WeirError('NOT_FOUND', `There is no service "${key}"`);
      refuseOwner(entry.service, owner);
      entries.delete(key);
      return move(key, { before: entry.rendered, after: nothingRendered, into });
    },
    tablesWanted(service) {
      if (service.selection !== 'maglev' || serviceProblem(service) !== undefined) return [];
      const before = entries.get(serviceKey(service))?.rendered ?? nothingRendered;
      return tablesWanted(service, { before, size: maglevTableSize, zone });
    },
    get: (key) => entries.get(key)?.service,
    list: () => [...entries.values()].map(({ service }) => service),
    backendNumbers(key) {
      const groups = [...(entries.get(key)?.rendered.groups.values() ?? [])];
      return new Map(groups.flatMap(({ backends }) => [...backends]));
    },
    takeRest(into = createChangeBatch()) {
      const change = adopted.takeRest();
      account.add(change, nothingRendered);
      numbers.releaseRows(change);
      addChange(into, change);
      return into;
    },
  };
}
