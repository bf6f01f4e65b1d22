// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { createBackoff, type Clock } from '@weir/clock';
import { WeirError } from '@weir/errors';
import {
  createConsulKeyValueStore,
  createEtcdKeyValueStore,
  createSharedLog,
  type KeyValueStore,
} from '@weir/shared-log';
import type { Logger } from '@weir/telemetry';
import type { ClusterDirectory } from './cluster/cluster-directory.ts';
import { openEmbeddedStore } from './embedded/embedded-store.ts';
import type { AllocatorOptions, StoreOptions } from './options.ts';
import { openReplicatedStore } from './replicated/replicated-store.ts';
import type { IdentityStore } from './store/identity-store.ts';

export interface OpenStoreDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** Shows what nodes announce. */
  readonly directory: ClusterDirectory;
  readonly onFatal: (error: WeirError) => void;
}

type ClusterStoreOptions = Exclude<StoreOptions, { readonly kind: 'embedded' }>;

const retryMs = { initialMs: 200, maxMs: 2_000 } as const;

/** Opens the store that the command line chose. Waits for one behind a network for as long as it takes. */
export async function openStore(options: AllocatorOptions, deps: OpenStoreDeps): Promise<IdentityStore> {
  const { store, times } = options;
  const { clock, log, directory, onFatal } = deps;
  if (store.kind === 'embedded') {
    return openEmbeddedStore({ path: store.path, times, clock, directory, random: Math.random, onFatal });
  }
  const names = { consul: 'Consul', etcd: 'etcd' } as const;
  const backoff = createBackoff(retryMs);
  for (;;) {
    const client = createClient(store);
    try {
      return await openReplicatedStore({
        log: createSharedLog({ store: client, prefix: store.prefix }),
        ...{ name: names[store.kind], times, clock, directory, random: Math.random, logger: log, onFatal },
      });
    } catch (error) {
      client.close();
      if (WeirError.from(error).code !== 'UNAVAILABLE') throw error;
      const delayMs = backoff.nextMs();
      log.warn({ error, delayMs: Math.round(delayMs) }, 'The store cannot be read, trying again');
      await new Promise((resolve) => setTimeout(resolve, delayMs));
    }
  }
}

function createClient({ kind, endpoints, tokenFile }: ClusterStoreOptions): KeyValueStore {
  if (kind === 'etcd') return createEtcdKeyValueStore({ endpoints });
  const token = tokenFile === undefined ? {} : { token: readToken(tokenFile) };
  return createConsulKeyValueStore({ endpoints, ...token });
}

function readToken(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    const { message } = error as Error;
    throw new WeirError('FAILED_PRECONDITION', `Cannot read the token in "${path}": ${message}`, { cause: error });
  }
}
