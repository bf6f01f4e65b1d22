// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  createConsulKeyValueStore,
  createEtcdKeyValueStore,
  type KeyValueStore,
  openFileKeyValueStore,
} from '@weir/shared-log';
import { createMemoryKeyValueStore } from './memory-key-value-store.ts';
import { consul, etcd, type StoreServerKind } from './store-servers.ts';

/** Where a store keeps its keys. */
export interface StorePlace {
  /** One more client; the caller closes it. */
  open(): KeyValueStore;
  destroy(): Promise<void>;
}

/** A kind of store that a promise is to hold on. */
export interface StoreKind {
  readonly name: string;
  /** Why it cannot be tried on this machine; undefined: it can. */
  readonly skipReason?: string | undefined;
  make(): Promise<StorePlace>;
}

const deadlineMs = 10_000;

const onServer = (kind: StoreServerKind, open: (endpoint: string) => KeyValueStore): StoreKind => ({
  ...{ name: kind.name, skipReason: kind.skipReason },
  async make() {
    const server = await kind.create();
    return { open: () => open(server.endpoint), destroy: () => server.destroy() };
  },
});

/** All of them: in memory, in a file, and on real servers. */
export const storeKinds: readonly StoreKind[] = [
  {
    name: 'memory',
    async make() {
      const store = createMemoryKeyValueStore();
      return { open: () => store, destroy: async () => undefined };
    },
  },
  {
    name: 'a file',
    async make() {
      const directory = mkdtempSync(join(tmpdir(), 'weir-kv-'));
      return {
        open: () => openFileKeyValueStore(join(directory, 'deep', 'store.db')),
        destroy: async () => rmSync(directory, { recursive: true }),
      };
    },
  },
  onServer(etcd, (endpoint) => createEtcdKeyValueStore({ endpoints: [endpoint], deadlineMs })),
  onServer(consul, (endpoint) => createConsulKeyValueStore({ endpoints: [endpoint], deadlineMs })),
];
