// SPDX-License-Identifier: Apache-2.0
import { randomInt } from 'node:crypto';
import type { Clock } from '@weir/clock';
import { lbBackendState } from '@weir/datapath-layout';
import type { BackendTraffic, ServiceChange, ServiceDatapath } from '@weir/datapath-maps';
import { WeirError } from '@weir/errors';
import {
  type BuiltTables,
  type ChangeBatch,
  createChangeBatch,
  createServiceTable,
  type ServiceTable,
} from '@weir/loadbalancer';
import { type Service, type ServiceOwner, serviceKey } from '@weir/model';
import type { Logger } from '@weir/telemetry';
import { createMaglevBuilder } from './maglev-builder.ts';
import type { ServiceRecord, ServiceStore } from './service-store.ts';

/** What became of one service of a request. */
export interface ServiceResult {
  readonly key: string;
  /** Why it is not in force. */
  readonly error?: WeirError;
}

/** A change that is in force. */
export type ServiceEvent =
  { readonly kind: 'upserted'; readonly service: Service } | { readonly kind: 'deleted'; readonly key: string };

/** The services of the node: on disk and in the kernel at the same time. */
export interface ServiceController {
  /** Brings services into force, each as a whole or not at all. Resolves when they are. */
  upsert(services: readonly Service[]): Promise<readonly ServiceResult[]>;
  delete(keys: readonly string[], owner: ServiceOwner): Promise<readonly ServiceResult[]>;
  /** What was in force before a restart; takes away from the kernel what is none of it. */
  restore(): Promise<void>;
  get(key: string): Service | undefined;
  list(): readonly Service[];
  /** What has come of each backend of a service, see `backendName`. */
  traffic(): (key: string) => ReadonlyMap<string, BackendTraffic>;
  /** Calls back with every change from now on; returns what stops it. */
  watch(onEvent: (event: ServiceEvent) => void): () => void;
  /** Why the kernel does not have what it should; undefined when it does. */
  readonly behind: WeirError | undefined;
  close(): Promise<void>;
}

export interface ServiceControllerOptions {
  readonly datapath: ServiceDatapath;
  readonly store: ServiceStore;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Told of backends that nobody should talk to any more. */
  readonly onBackendsGone?: (backends: readonly number[]) => void;
  /** Told of changes that are in force; a request for them is answered when it resolves. */
  readonly onChanged?: (events: readonly ServiceEvent[]) => Promise<void>;
  /** Where new numbers begin; at random unless given. */
  readonly numbersFrom?: number;
  /** See `ServiceTableOptions`. */
  readonly maglevTableSize?: number;
  readonly zone?: string;
}

const retryMs = 1_000;
const numbersFromMax = 2 ** 31;
const noTraffic: BackendTraffic = { connections: 0, active: 0, sentBytes: 0, receivedBytes: 0 };

/** Backends that are deleted, or do not answer. */
const backendsGone = ({ backends }: ServiceChange): number[] =>
  [...backends].flatMap(([id, row]) => (row === undefined || row.state === lbBackendState.quarantined ? [id] : []));

/** What one request comes to, before it is on disk and in the kernel. */
interface Attempt {
  readonly results: ServiceResult[];
  readonly records: ServiceRecord[];
  readonly events: ServiceEvent[];
  readonly change: ChangeBatch;
}

/** Does one step for each item; an item whose step throws is refused, and the others are done. */
function attempt<Item extends Service | string>(
  items: readonly Item[],
  step: (item: Item, into: Attempt) => void,
): Attempt {
  const into: Attempt = { results: [], records: [], events: [], change: createChangeBatch() };
  for (const item of items) {
    const key = typeof item === 'string' ? item : serviceKey(item);
    try {
      step(item, into);
      into.results.push({ key });
    } catch (error) {
      into.results.push({ key, error: WeirError.from(error) });
    }
  }
  return into;
}

/** The services in the kernel, which may refuse. */
interface KernelSide {
  readonly table: ServiceTable;
  readonly behind: WeirError | undefined;
  put(change: ServiceChange): void;
  /** Puts everything back to `services` after the kernel has refused something; tries again until it can. */
  recover(services: readonly Service[]): void;
  /** Tries now what would be tried again later. Throws when it is still refused. */
  catchUp(): void;
  close(): void;
}

function createKernelSide(options: ServiceControllerOptions, later: (task: () => void) => void): KernelSide {
  const { datapath, clock, logger, onBackendsGone, numbersFrom, maglevTableSize, zone } = options;
  const newTable = (from: number): ServiceTable =>
    createServiceTable({
      ...{ rows: datapath.read(), limits: datapath.limits, numbersFrom: from },
      ...(maglevTableSize !== undefined && { maglevTableSize }),
      ...(zone !== undefined && { zone }),
    });
  let table = newTable(numbersFrom ?? randomInt(numbersFromMax));
  let behind: WeirError | undefined;
  let cancel: (() => void) | undefined;
  let wanted: readonly Service[] = [];

  const put = (change: ServiceChange): void => {
    datapath.apply(change);
    onBackendsGone?.(backendsGone(change));
  };

  const rebuild = (services: readonly Service[]): void => {
    // What the kernel refused may be there in part.
    table = newTable(randomInt(numbersFromMax));
    const batch = createChangeBatch();
    for (const service of services) table.upsert(service, { into: batch });
    table.takeRest(batch);
    put(batch);
  };

  const recover = (services: readonly Service[]): void => {
    cancel?.();
    wanted = services;
    try {
      rebuild(services);
      behind = undefined;
    } catch (error) {
      behind = WeirError.from(error);
      logger.error({ error }, 'Services in the kernel are not what they should be');
      cancel = clock.schedule(retryMs, () => later(() => recover(wanted)));
    }
  };

  return {
    get table() {
      return table;
    },
    get behind() {
      return behind;
    },
    ...{ put, recover, close: () => cancel?.() },
    catchUp() {
      if (behind !== undefined) recover(wanted);
      if (behind !== undefined) throw behind;
    },
  };
}

/** The services that a request is about, as they were before it. */
type Touched = ReadonlyMap<string, Service | undefined>;

/** All services as they were: `now`, but for those that were touched. */
const servicesBefore = (now: readonly Service[], before: Touched): Service[] => [
  ...now.filter((service) => !before.has(serviceKey(service))),
  ...[...before.values()].flatMap((service) => service ?? []),
];

/** Records that undo others. */
function undoing(records: readonly ServiceRecord[], before: Touched): ServiceRecord[] {
  return records.map((record) => {
    const key = 'upsert' in record ? serviceKey(record.upsert) : record.delete;
    const service = before.get(key);
    return service === undefined ? { delete: key } : { upsert: service };
  });
}

interface UpsertInput {
  readonly table: ServiceTable;
  readonly built: BuiltTables;
  readonly into: Attempt;
}

function upsertOne(service: Service, { table, built, into }: UpsertInput): void {
  const known = table.get(serviceKey(service));
  table.upsert(service, { built, into: into.change });
  if (known !== undefined && JSON.stringify(known) === JSON.stringify(service)) return;
  into.records.push({ upsert: service });
  into.events.push({ kind: 'upserted', service });
}

type Commit = (before: Touched, made: Attempt) => Promise<readonly ServiceResult[]>;

/** Brings an attempt into force. Disk first: a crash in between is made good by the restart. */
function createCommit(
  { datapath, store, logger, onChanged }: ServiceControllerOptions,
  { kernel, tell }: { readonly kernel: KernelSide; readonly tell: (event: ServiceEvent) => void },
): Commit {
  return async (before, made) => {
    let isOnDisk = false;
    try {
      await store.append(made.records);
      isOnDisk = true;
      if (made.change.tables.size > 0) await datapath.placeTables(made.change.tables);
      kernel.put(made.change);
    } catch (thrown) {
      kernel.recover(servicesBefore(kernel.table.list(), before));
      if (isOnDisk) {
        const undo = store.append(undoing(made.records, before));
        await undo.catch((error: unknown) => logger.error({ error }, 'Services on disk are ahead of the kernel'));
      }
      const error = WeirError.from(thrown);
      return made.results.map((result) => (result.error === undefined ? { ...result, error } : result));
    }
    for (const event of made.events) tell(event);
    await onChanged?.(made.events);
    return made.results;
  };
}

/** What has come of the backends of services. */
function createTraffic(datapath: ServiceDatapath, kernel: KernelSide): ServiceController['traffic'] {
  return () => {
    const traffic = datapath.traffic();
    return (key) => {
      const numbers = [...kernel.table.backendNumbers(key)];
      return new Map(numbers.map(([name, id]) => [name, traffic.get(id) ?? noTraffic]));
    };
  };
}

/** Makes one for what is in the kernel now. Changes are made one after the other. */
export function createServiceController(options: ServiceControllerOptions): ServiceController {
  const { datapath, store } = options;
  const maglev = createMaglevBuilder();
  const watchers = new Set<(event: ServiceEvent) => void>();
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <Result>(task: () => Promise<Result>): Promise<Result> => {
    const run = last.then(task, task);
    last = run.catch(() => undefined);
    return run;
  };
  const kernel = createKernelSide(options, (task) => void inTurn(async () => task()));
  const commit = createCommit(options, { kernel, tell: (event) => watchers.forEach((watcher) => watcher(event)) });

  const change = <Item extends Service | string>(items: readonly Item[], step: (item: Item, into: Attempt) => void) => {
    kernel.catchUp();
    const keys = items.map((item) => (typeof item === 'string' ? item : serviceKey(item)));
    const before = new Map(keys.map((key) => [key, kernel.table.get(key)]));
    return commit(before, attempt(items, step));
  };

  /** Made in another thread; nothing else changes meanwhile. */
  const buildTables = (services: readonly Service[]): Promise<BuiltTables> =>
    maglev.build(services.flatMap((service) => kernel.table.tablesWanted(service)));

  return {
    upsert: (services) =>
      inTurn(async () => {
        const built = await buildTables(services);
        return change(services, (service, into) => upsertOne(service, { table: kernel.table, built, into }));
      }),
    delete: (keys, owner) =>
      inTurn(async () =>
        change(keys, (key, into) => {
          kernel.table.delete(key, owner, into.change);
          into.records.push({ delete: key });
          into.events.push({ kind: 'deleted', key });
        }),
      ),
    restore: () =>
      inTurn(async () => {
        const batch = createChangeBatch();
        const services = await store.load();
        const built = await buildTables(services);
        for (const service of services) kernel.table.upsert(service, { built, into: batch });
        kernel.table.takeRest(batch);
        await datapath.placeTables(batch.tables);
        kernel.put(batch);
      }),
    get: (key) => kernel.table.get(key),
    list: () => kernel.table.list(),
    traffic: createTraffic(datapath, kernel),
    watch(onEvent) {
      watchers.add(onEvent);
      return () => void watchers.delete(onEvent);
    },
    get behind() {
      return kernel.behind;
    },
    async close() {
      kernel.close();
      await inTurn(() => Promise.all([store.close(), maglev.close()]));
    },
  };
}
