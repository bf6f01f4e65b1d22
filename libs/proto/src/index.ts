// SPDX-License-Identifier: Apache-2.0
// Every contract in proto/ as TypeScript: messages (`weir.<package>.v1.*`, `grpc.health.v1.*`) and gRPC service definitions. Generated.
export { grpc, weir } from './gen/messages.js';
export {
  AgentServiceDefinition,
  HealthDefinition,
  IdentityAllocatorDefinition,
  ProxyControlDefinition,
} from './gen/services.ts';
export type { MethodDefinition } from './method.ts';
