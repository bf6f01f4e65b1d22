// SPDX-License-Identifier: Apache-2.0
import {
  logVerbosity,
  Server,
  ServerCredentials,
  setLogVerbosity,
  type ServiceDefinition as GrpcServiceDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { assert, WeirError } from '@weir/errors';
import type { Logger } from '@weir/telemetry';
import { grpcTarget, parseRpcAddress, type RpcAddress } from './address.ts';
import type { RpcService } from './handlers.ts';
import { createHealth, type HealthState } from './health.ts';
import { messageBytesMaxDefault } from './limits.ts';
import { handleCall, type CallContext } from './server-call.ts';
import type { TlsIdentity } from './tls.ts';
import { claimUnixSocket, type UnixSocketClaim } from './unix-socket.ts';

// grpc-js prints to the console what it also throws; the logger of the process has the say.
if (process.env.GRPC_VERBOSITY === undefined) setLogVerbosity(logVerbosity.NONE);

export interface RpcServerOptions {
  readonly services: readonly RpcService[];
  /** `unix:/absolute/path` or `host:port`, as many as wanted. */
  readonly listen: readonly string[];
  /** Mode of unix sockets; 0o660 by default. */
  readonly socketMode?: number;
  /**
   * Where calls may go in clear text over TCP. `loopback`, the default, refuses to listen on any other address: between
   * machines everything is encrypted unless somebody asks for it by name.
   */
  readonly plaintext?: 'loopback' | 'anywhere';
  /** For addresses over TCP: both sides show certificates. Unix sockets are as they are without it. */
  readonly tls?: TlsIdentity;
  /** The largest message taken or sent; 4 MiB by default. A larger one fails its call with RESOURCE_EXHAUSTED. */
  readonly messageBytesMax?: number;
  /** Calls that one connection may have open; 1,024 by default. More of them wait in the client. */
  readonly concurrentCallsMax?: number;
  /** More names that the health service answers to, beside those of the services. */
  readonly healthNames?: readonly string[];
  readonly log?: Logger;
}

/** A gRPC server with the standard health service built in. */
export interface RpcServer {
  /** NOT_SERVING until the application sets it. */
  readonly health: HealthState;
  /** Listens on every address, or on none: FAILED_PRECONDITION names the one that cannot be had. Gives bound addresses. */
  start(): Promise<readonly string[]>;
  /**
   * Reports NOT_SERVING, ends streams with UNAVAILABLE, takes no new call, and lets unary calls finish for `deadlineMs`
   * (5,000 by default), after which they are cut. Removes its sockets.
   */
  stop(options?: { readonly deadlineMs?: number }): Promise<void>;
}

/** Makes a server; nothing happens before `start`. */
export function createRpcServer(options: RpcServerOptions): RpcServer {
  const addresses = options.listen.map(parseRpcAddress);
  if (options.tls === undefined) {
    addresses.forEach((address) => refusePlaintext(address, options.plaintext ?? 'loopback'));
  }
  const health = createHealth([...options.services.map(({ name }) => name), ...(options.healthNames ?? [])]);
  const messageBytesMax = options.messageBytesMax ?? messageBytesMaxDefault;
  // Channelz stays on: without it grpc-js keeps no list of sessions, and a forced shutdown would cut nothing.
  const server = new Server({
    'grpc.max_receive_message_length': messageBytesMax,
    'grpc.max_send_message_length': messageBytesMax,
    'grpc.max_concurrent_streams': options.concurrentCallsMax ?? 1024,
  });
  const context: CallContext = { log: options.log, openStreams: new Set() };
  [...options.services, health.service].forEach((service) => addService(server, service, context));
  const claims: UnixSocketClaim[] = [];

  const listen = async (address: RpcAddress): Promise<string> => {
    if (address.kind === 'tcp') {
      const port = await bind(server, grpcTarget(address), options.tls?.credentials.server());
      return grpcTarget({ ...address, port });
    }
    const claim = await claimUnixSocket({ path: address.path, mode: options.socketMode ?? 0o660 });
    claims.push(claim);
    await bind(server, `unix:${claim.bindPath}`);
    await claim.publish();
    return grpcTarget(address);
  };
  const stop = async (deadlineMs: number): Promise<void> => {
    health.state.setAll('NOT_SERVING');
    // The name goes first, so that a client that is sent away does not come straight back.
    await Promise.all(claims.splice(0).map((claim) => claim.remove()));
    const goodbye = new WeirError('UNAVAILABLE', 'The server is stopping');
    for (const stream of context.openStreams) stream.abort(goodbye);
    await shutDown(server, deadlineMs);
  };

  return {
    health: health.state,
    async start() {
      try {
        const bound: string[] = [];
        for (const address of addresses) bound.push(await listen(address));
        return bound;
      } catch (error) {
        await stop(0);
        throw WeirError.from(error, 'FAILED_PRECONDITION');
      }
    },
    stop: ({ deadlineMs = 5_000 } = {}) => stop(deadlineMs),
  };
}

function refusePlaintext(address: RpcAddress, plaintext: 'loopback' | 'anywhere'): void {
  if (address.kind === 'unix' || address.loopback || plaintext === 'anywhere') return;
  const target = grpcTarget(address);
  throw new WeirError(
    'INVALID_ARGUMENT',
    `Address "${target}" would carry plaintext between machines, expected a unix socket or a loopback address`,
    { details: { address: target } },
  );
}

function addService(server: Server, service: RpcService, context: CallContext): void {
  const implementation: UntypedServiceImplementation = {};
  for (const [name, method] of Object.entries(service.definition)) {
    const handler = service.handlers[name];
    assert(typeof handler === 'function', `service ${service.name} has a handler for ${name}`);
    implementation[name] = handleCall(method, handler, context);
  }
  server.addService(service.definition as GrpcServiceDefinition, implementation);
}

const bind = (server: Server, target: string, credentials = ServerCredentials.createInsecure()): Promise<number> =>
  new Promise((resolve, reject) => {
    server.bindAsync(target, credentials, (error, port) => {
      if (error === null) resolve(port);
      else
        reject(
          new WeirError('FAILED_PRECONDITION', `Cannot listen on "${target}": ${error.message}`, { cause: error }),
        );
    });
  });

const shutDown = (server: Server, deadlineMs: number): Promise<void> =>
  new Promise((resolve) => {
    const cut = setTimeout(() => server.forceShutdown(), deadlineMs);
    server.tryShutdown(() => {
      clearTimeout(cut);
      resolve();
    });
  });
