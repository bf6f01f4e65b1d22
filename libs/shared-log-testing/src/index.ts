// SPDX-License-Identifier: Apache-2.0
// For tests of what is built on shared logs: real Consul and etcd servers, and a store in memory with faults on demand.
export { createMemoryKeyValueStore, type Fault, type MemoryKeyValueStore } from './memory-key-value-store.ts';
export { type StoreKind, storeKinds, type StorePlace } from './store-kinds.ts';
export { consul, etcd, freePort, type StoreServer, type StoreServerKind } from './store-servers.ts';
