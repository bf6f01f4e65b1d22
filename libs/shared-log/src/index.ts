// SPDX-License-Identifier: Apache-2.0
// A list of entries that several processes add to and read in the same order, in a store that the cluster has: Consul, etcd, or
// a file on one machine. Knows nothing of what the entries say.
export {
  createSharedLog,
  type LogContent,
  type LogPortion,
  type LogPosition,
  type SharedLog,
  type SharedLogOptions,
} from './shared-log.ts';
export { createConsulKeyValueStore, type ConsulOptions } from './consul-key-value-store.ts';
export { createEtcdKeyValueStore, type EtcdOptions } from './etcd-key-value-store.ts';
export { openFileKeyValueStore } from './file-key-value-store.ts';
export type { ChangeWait, KeyValue, KeyValueStore, Swap, VersionedValue } from './key-value-store.ts';
