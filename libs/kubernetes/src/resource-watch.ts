// SPDX-License-Identifier: Apache-2.0
import { type Clock, createBackoff } from '@weir/clock';
import { WeirError } from '@weir/errors';
import type { Logger } from '@weir/telemetry';
import { hasStatus } from './api-error.ts';
import type { KubernetesApi } from './kubernetes-api.ts';
import { type ListedObject, listResource, watchResource } from './list-and-watch.ts';

/** What to keep known. */
export interface WatchedResource<Item> {
  /** For messages: `pods`. */
  readonly name: string;
  /** `/api/v1/pods`; a function is asked before every list, for what servers of several ages have in several places. */
  readonly path: string | (() => Promise<string>);
  readonly fieldSelector?: string;
  readonly labelSelector?: string;
  /**
   * Takes what is of interest from an object, and nothing else stays in memory. Undefined: the object is of none. What it
   * throws is logged, and the object stays as it was.
   */
  readonly read: (object: unknown) => Item | undefined;
  /** Whether a server that does not know the kind at all is one without such objects; it is asked again now and then. */
  readonly isOptional?: boolean;
}

/** How it stands. */
export type WatchState =
  /** The first list is not there yet. */
  | { readonly kind: 'listing' }
  | { readonly kind: 'watching' }
  /** The server does not know the kind. */
  | { readonly kind: 'absent' }
  /** What is known stays known. */
  | { readonly kind: 'retrying'; readonly error: WeirError };

/** The objects of one kind, as far as this process knows them. */
export interface ResourceWatch<Item> {
  /** By `namespace/name`, or `name` where the kind has no namespaces. */
  readonly items: ReadonlyMap<string, Item>;
  /** Whether everything has been listed once: what is not in `items` did not exist then. */
  readonly isSynced: boolean;
  readonly state: WatchState;
  /** Resolves when {@link isSynced}. Rejects with the reason of the signal. */
  whenSynced(signal?: AbortSignal): Promise<void>;
  /** Resolves when the server has ended what was under way. */
  stop(): Promise<void>;
}

export interface ResourceWatchOptions<Item> {
  readonly api: KubernetesApi;
  readonly resource: WatchedResource<Item>;
  /** Called with the keys of what is different from before; also with none, once, when the first list is there. */
  readonly onChange?: (keys: readonly string[]) => void;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Between attempts; 200 ms to 30 s by default, and 10 s where the kind is absent. */
  readonly retryMs?: { readonly initialMs: number; readonly maxMs: number; readonly absentMs: number };
}

interface Known<Item> {
  readonly item: Item;
  readonly resourceVersion: string;
}

const retryMsDefault = { initialMs: 200, maxMs: 30_000, absentMs: 10_000 } as const;
// A watch that was there for so long did not fail at its beginning.
const healthyMs = 1_000;

/** Lists the objects of a kind, and follows what becomes of them, until it is stopped; whatever the server does meanwhile. */
export function startResourceWatch<Item>(options: ResourceWatchOptions<Item>): ResourceWatch<Item> {
  const store = createItemStore(options);
  const abort = new AbortController();
  const synced = Promise.withResolvers<undefined>();
  const life: Life = {
    ...{ signal: abort.signal, state: { kind: 'listing' }, isSynced: false },
    synced() {
      if (life.isSynced) return;
      life.isSynced = true;
      synced.resolve(undefined);
    },
  };
  const ended = live({ ...options, store, life });
  return {
    items: store.items,
    get isSynced() {
      return life.isSynced;
    },
    get state() {
      return life.state;
    },
    async whenSynced(signal) {
      if (signal === undefined || life.isSynced) return synced.promise;
      signal.throwIfAborted();
      const aborted = Promise.withResolvers<never>();
      const onAbort = (): void => aborted.reject(signal.reason);
      signal.addEventListener('abort', onAbort);
      await Promise.race([synced.promise, aborted.promise]).finally(() => signal.removeEventListener('abort', onAbort));
    },
    async stop() {
      abort.abort();
      await ended;
    },
  };
}

interface Life {
  readonly signal: AbortSignal;
  state: WatchState;
  isSynced: boolean;
  synced(): void;
}

interface ItemStore {
  /** Takes a list for all that there is. */
  replace(objects: readonly ListedObject[]): void;
  put(object: ListedObject): void;
  delete(key: string): void;
}

function createItemStore<Item>(
  options: ResourceWatchOptions<Item>,
): ItemStore & { readonly items: ReadonlyMap<string, Item> } {
  const { resource, onChange, logger } = options;
  const known = new Map<string, Known<Item>>();
  const items = new Map<string, Item>();
  let isFirst = true;

  const remove = (key: string): boolean => {
    known.delete(key);
    return items.delete(key);
  };

  /** Returns whether anything of interest is different. */
  const put = ({ key, resourceVersion, object }: ListedObject): boolean => {
    const before = known.get(key);
    if (before !== undefined && before.resourceVersion === resourceVersion) return false;
    let item: Item | undefined;
    try {
      item = resource.read(object);
    } catch (error) {
      logger.warn({ service: resource.name, path: key, error }, 'Object of Kubernetes cannot be understood');
      return false;
    }
    if (item === undefined) return remove(key);
    known.set(key, { item, resourceVersion });
    if (before !== undefined && JSON.stringify(before.item) === JSON.stringify(item)) return false;
    items.set(key, item);
    return true;
  };

  return {
    items,
    replace(objects) {
      const present = new Set(objects.map(({ key }) => key));
      const gone = [...known.keys()].filter((key) => !present.has(key) && remove(key));
      const changed = objects.filter(put).map(({ key }) => key);
      if (gone.length + changed.length > 0 || isFirst) onChange?.([...gone, ...changed]);
      isFirst = false;
    },
    put(object) {
      if (put(object)) onChange?.([object.key]);
    },
    delete(key) {
      if (remove(key)) onChange?.([key]);
    },
  };
}

interface LivingWatch<Item> extends ResourceWatchOptions<Item> {
  readonly store: ItemStore;
  readonly life: Life;
}

/** Goes on until it is stopped. */
async function live<Item>(watch: LivingWatch<Item>): Promise<void> {
  const { clock, life, logger, resource } = watch;
  const backoff = createBackoff(watch.retryMs ?? retryMsDefault);
  const position: Position = { resourceVersion: undefined, isExpired: false };
  while (!life.signal.aborted) {
    const startedMs = clock.monotonicMs();
    let delayMs = 0;
    try {
      await follow(watch, position);
    } catch (thrown) {
      if (life.signal.aborted) return;
      const error = WeirError.from(thrown);
      if (isExpired(error)) {
        logger.info({ service: resource.name }, 'What is known of Kubernetes is too old, everything is listed again');
        position.resourceVersion = undefined;
        position.isExpired = true;
      } else {
        if (life.state.kind !== 'retrying') {
          logger.warn({ service: resource.name, error }, 'Kubernetes does not tell what becomes of its objects');
        }
        life.state = { kind: 'retrying', error };
        delayMs = Number(error.details.retryAfterMs ?? 0);
      }
    }
    if (clock.monotonicMs() - startedMs > healthyMs) backoff.reset();
    await pause(Math.max(delayMs, backoff.nextMs()), watch);
  }
}

/** Waits, unless it is stopped. */
async function pause<Item>(delayMs: number, { clock, life }: LivingWatch<Item>): Promise<void> {
  if (life.signal.aborted) return;
  await new Promise<void>((resolve) => {
    const end = (): void => {
      cancel();
      life.signal.removeEventListener('abort', end);
      resolve();
    };
    const cancel = clock.schedule(delayMs, end);
    life.signal.addEventListener('abort', end);
  });
}

/** How far everything is known. */
interface Position {
  /** Undefined: everything has to be listed. */
  resourceVersion: string | undefined;
  /** The server has forgotten what we know: its cache may be older than that, so it must ask its store. */
  isExpired: boolean;
}

const isExpired = (error: WeirError): boolean => hasStatus(error, 410);

/** Lists where that is needed, and then watches until the server ends it. */
async function follow<Item>(watch: LivingWatch<Item>, position: Position): Promise<void> {
  const { life, logger, resource, store } = watch;
  const { signal } = life;
  const { fieldSelector, labelSelector } = resource;
  const path = typeof resource.path === 'string' ? resource.path : await resource.path();
  const selection = { api: watch.api, path, selector: { fieldSelector, labelSelector }, signal };
  if (position.resourceVersion === undefined) {
    const listed = await listOrAbsent(watch, { ...selection, isFresh: position.isExpired });
    if (listed === undefined) {
      store.replace([]);
      life.state = { kind: 'absent' };
      life.synced();
      return pause((watch.retryMs ?? retryMsDefault).absentMs, watch);
    }
    store.replace(listed.objects);
    position.resourceVersion = listed.resourceVersion;
    position.isExpired = false;
    life.synced();
  }
  for await (const event of watchResource({ ...selection, resourceVersion: position.resourceVersion })) {
    if (event.kind === 'open') {
      if (life.state.kind === 'retrying') logger.info({ service: resource.name }, 'Kubernetes answers again');
      life.state = { kind: 'watching' };
    } else {
      if (event.kind === 'put') store.put(event.object);
      if (event.kind === 'delete') store.delete(event.object.key);
      position.resourceVersion = event.object.resourceVersion;
    }
  }
}

/** Undefined where the server does not know the kind; one that is starting may only not know it yet. */
async function listOrAbsent<Item>(
  { resource, api }: LivingWatch<Item>,
  list: Parameters<typeof listResource>[0],
): Promise<Awaited<ReturnType<typeof listResource>> | undefined> {
  try {
    return await listResource(list);
  } catch (error) {
    if (resource.isOptional !== true || !hasStatus(error, 404)) throw error;
  }
  await api.request({ path: '/readyz', ...(list.signal && { signal: list.signal }) });
  try {
    return await listResource(list);
  } catch (error) {
    if (hasStatus(error, 404)) return undefined;
    throw error;
  }
}
