// SPDX-License-Identifier: Apache-2.0
// gRPC between Weir's processes: servers and clients that carry a WeirError across unchanged, always have a deadline, and
// hold a bounded amount of memory for a peer that is slow. Knows nothing of what the services mean.
export { createRpcServer, type RpcServer, type RpcServerOptions } from './server.ts';
export { rpcService, type Handlers, type RpcCall, type RpcService } from './handlers.ts';
export { certificateNameOf, refuseAllBut, refuseOtherNode } from './caller.ts';
export { createRpcClient } from './rpc-client.ts';
export type { CallOptions, RpcClient, RpcClientOptions } from './client.ts';
export { createStreamQueue, type StreamQueue, type StreamQueueOptions } from './stream-queue.ts';
export { type KeyPair, openTlsIdentity, readKeyPair, type TlsFiles, type TlsIdentity } from './tls.ts';
export { grpcTarget, parseRpcAddress, parseTcpAddress, type RpcAddress } from './address.ts';
export type { HealthState, ServingStatus } from './health.ts';
export type { ServiceDefinition, MethodTypes } from './method-types.ts';

// For servers that speak something else on a unix socket.
export { claimUnixSocket, type UnixSocketClaim } from './unix-socket.ts';

// For tests of error mapping in other libraries.
export { statusFromError, errorFromStatus } from './error-status.ts';
export { watchFiles } from './watch-files.ts';
