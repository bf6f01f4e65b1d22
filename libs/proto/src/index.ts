// SPDX-License-Identifier: Apache-2.0
// Every contract in proto/ as TypeScript: messages (`weir.<package>.v1.*`, `grpc.health.v1.*`,
// `flow`, `observer`, `peer`, `relay`, which are Hubble's, and `etcdserverpb.*` for what we use of etcd) and gRPC service definitions. Generated.
export { etcdserverpb, flow, google, grpc, observer, peer, relay, weir } from './gen/messages.js';
export {
  AgentServiceDefinition,
  ClusterDirectoryDefinition,
  HealthDefinition,
  IdentityAllocatorDefinition,
  KVDefinition as EtcdKeyValueDefinition,
  ObserverDefinition,
  OperatorDefinition,
  PeerDefinition,
  ProxyControlDefinition,
  WatchDefinition as EtcdWatchDefinition,
  ServiceServiceDefinition,
} from './gen/services.ts';
export { encodedOnce, type MethodDefinition } from './method.ts';

// For the JSON form of messages, which needs the names that the contract uses.
export { default as hubbleDescriptors } from './gen/descriptors.json' with { type: 'json' };
