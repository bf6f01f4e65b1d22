// SPDX-License-Identifier: Apache-2.0
import {
  Client,
  credentials,
  Metadata,
  type ChannelCredentials,
  type CallOptions as GrpcCallOptions,
  type ClientDuplexStream,
  type ClientReadableStream,
  type ClientWritableStream,
  type ServiceError,
} from '@grpc/grpc-js';
import { WeirError } from '@weir/errors';
import { grpcTarget, parseRpcAddress, type RpcAddress } from './address.ts';
import { errorFromStatus } from './error-status.ts';
import { messageBytesMaxDefault } from './limits.ts';
import type { AnyMethod, ByStreaming, MethodTypes, ServiceDefinition } from './method-types.ts';
import type { TlsIdentity } from './tls.ts';
import { writeAll } from './write-all.ts';

export interface RpcClientOptions {
  /** `unix:/absolute/path` or `host:port`; several of them, with commas in between, for servers that stand in for each other. */
  readonly address: string;
  /** How long a unary call may take; 5,000 by default. Streams have no deadline unless a call sets one. */
  readonly deadlineMs?: number;
  /** Calls wait, within their deadline, for a server that is not there yet instead of failing at once; off by default. */
  readonly waitForReady?: boolean;
  /** The largest message taken or sent; 4 MiB by default. */
  readonly messageBytesMax?: number;
  /** How long a TCP connection may be silent before the server is asked for a sign of life; 10,000 by default. */
  readonly keepaliveMs?: number;
  /** How long the server may take for that sign before the connection counts as lost; 5,000 by default. */
  readonly keepaliveTimeoutMs?: number;
  /** TLS over TCP, with a server that has `serverName` in its certificate; in clear text otherwise. */
  readonly tls?: { readonly identity: TlsIdentity; readonly serverName: string };
}

/** For one call. */
export interface CallOptions {
  readonly deadlineMs?: number;
  readonly waitForReady?: boolean;
  /** Ends the call with CANCELLED. */
  readonly signal?: AbortSignal;
  /**
   * With several addresses, for a unary call: without an answer for so long the next server is asked, too, and the first answer
   * counts. For calls that may be made twice, and late. Never by default.
   */
  readonly hedgeMs?: number;
}

interface CallShapes<Types extends MethodTypes<AnyMethod>> {
  readonly unary: (request: Types['requestPlain'], options?: CallOptions) => Promise<Types['response']>;
  readonly serverStream: (request: Types['requestPlain'], options?: CallOptions) => AsyncIterable<Types['response']>;
  readonly clientStream: (
    requests: AsyncIterable<Types['requestPlain']>,
    options?: CallOptions,
  ) => Promise<Types['response']>;
  readonly bidi: (
    requests: AsyncIterable<Types['requestPlain']>,
    options?: CallOptions,
  ) => AsyncIterable<Types['response']>;
}

type Calls<Definition extends ServiceDefinition> = {
  readonly [Name in keyof Definition]: ByStreaming<Definition[Name], CallShapes<MethodTypes<Definition[Name]>>>;
};

/**
 * The calls of a service as functions. A failed call throws a WeirError: the server's own, UNAVAILABLE when there is no
 * server, TIMEOUT after the deadline. A stream starts when it is iterated, is read no faster than it is iterated, and is
 * cancelled when the loop is left.
 */
export type RpcClient<Definition extends ServiceDefinition> = Calls<Definition> & {
  /** Waits until a connection stands; TIMEOUT otherwise. */
  readonly ready: (options: { readonly deadlineMs: number }) => Promise<void>;
  /** Ends the connection; open calls fail with CANCELLED. */
  readonly close: () => void;
};

// A local server that restarts is back within a second, and a connect to a socket that is not there costs next to
// nothing; over a network, patience saves the server from a herd.
const channelOptions = (
  address: RpcAddress,
  {
    messageBytesMax = messageBytesMaxDefault,
    keepaliveMs = 10_000,
    keepaliveTimeoutMs = 5_000,
    tls,
  }: Omit<RpcClientOptions, 'address'>,
): Record<string, number | string> => ({
  'grpc.max_receive_message_length': messageBytesMax,
  'grpc.max_send_message_length': messageBytesMax,
  'grpc.initial_reconnect_backoff_ms': address.kind === 'unix' ? 50 : 100,
  'grpc.max_reconnect_backoff_ms': address.kind === 'unix' ? 150 : 2_000,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.enable_http_proxy': 0,
  'grpc.enable_channelz': 0,
  'grpc.service_config_disable_resolution': 1,
  // The kernel tells us at once when the process behind a unix socket dies; of a dead machine only silence tells.
  ...(address.kind === 'tcp'
    ? { 'grpc.keepalive_time_ms': keepaliveMs, 'grpc.keepalive_timeout_ms': keepaliveTimeoutMs }
    : {}),
  ...(tls === undefined ? {} : { 'grpc.ssl_target_name_override': tls.serverName }),
});

const credentialsFor = (address: RpcAddress, { tls }: RpcClientOptions): ChannelCredentials =>
  tls === undefined || address.kind === 'unix'
    ? credentials.createInsecure()
    : tls.identity.credentials.client(tls.serverName);

interface Connection {
  readonly client: Client;
  readonly target: string;
  readonly deadlineMs: number;
  readonly waitForReady: boolean;
  readonly isEncrypted: boolean;
}

/** Makes a client of one server; it connects at the first call, and again whenever the connection is lost. */
export function createSingleClient<Definition extends ServiceDefinition>(
  definition: Definition,
  options: RpcClientOptions,
): RpcClient<Definition> {
  const address = parseRpcAddress(options.address);
  const target = grpcTarget(address);
  const client = new Client(target, credentialsFor(address, options), channelOptions(address, options));
  const connection: Connection = {
    client,
    target,
    deadlineMs: options.deadlineMs ?? 5_000,
    waitForReady: options.waitForReady ?? false,
    isEncrypted: options.tls !== undefined && address.kind === 'tcp',
  };
  const calls = Object.entries(definition).map(([name, method]) => [name, callOf(method, connection)]);
  return Object.assign(Object.fromEntries(calls) as Calls<Definition>, {
    ready: ({ deadlineMs }: { deadlineMs: number }) => ready(connection, deadlineMs),
    close: () => client.close(),
  });
}

function callOf(method: AnyMethod, connection: Connection): unknown {
  if (method.responseStream) {
    return (input: unknown, options: CallOptions = {}) => responses({ connection, method, input, options });
  }
  return (input: unknown, options: CallOptions = {}) => response({ connection, method, input, options });
}

interface CallSpec {
  readonly connection: Connection;
  readonly method: AnyMethod;
  /** The request, or an async iterable of requests. */
  readonly input: unknown;
  readonly options: CallOptions;
}

const refusedHint = '; the server may not accept our certificate, or not speak TLS';

function failureOf({ connection, method, options }: CallSpec, error: ServiceError): WeirError {
  const failure = errorFromStatus(error);
  const { target } = connection;
  const details = { address: target, method: method.path };
  if (Object.keys(failure.details).length > 0) return failure;
  if (failure.code === 'UNAVAILABLE') {
    // Whoever is refused after the handshake is not told why: in TLS 1.3 it was over for the client.
    const hint = connection.isEncrypted && /Failed to connect/.test(failure.message) ? refusedHint : '';
    const message = `Cannot reach "${target}": ${failure.message}${hint}`;
    return new WeirError('UNAVAILABLE', message, { cause: error, details });
  }
  if (failure.code === 'TIMEOUT') {
    const limitMs = options.deadlineMs ?? connection.deadlineMs;
    const message = `"${target}" did not answer "${method.path}" within ${limitMs} ms`;
    return new WeirError('TIMEOUT', message, { cause: error, details });
  }
  return failure;
}

const metadataFor = ({ connection, options }: CallSpec): Metadata =>
  new Metadata({ waitForReady: options.waitForReady ?? connection.waitForReady });

const deadlineFor = (deadlineMs: number | undefined): GrpcCallOptions =>
  deadlineMs === undefined ? {} : { deadline: Date.now() + deadlineMs };

const serialize = (method: AnyMethod) => method.requestSerialize as (message: unknown) => Buffer;

/** Cancels `call` when `signal` aborts; the result stops listening. */
function cancelOn(signal: AbortSignal | undefined, call: { cancel(): void }): () => void {
  const cancel = (): void => call.cancel();
  if (signal?.aborted === true) cancel();
  signal?.addEventListener('abort', cancel, { once: true });
  return () => signal?.removeEventListener('abort', cancel);
}

async function response(spec: CallSpec): Promise<unknown> {
  const { connection, method, input, options } = spec;
  const deadline = deadlineFor(options.deadlineMs ?? connection.deadlineMs);
  let release: (() => void) | undefined;
  try {
    return await new Promise((resolve, reject) => {
      const settle = (error: ServiceError | null, message?: unknown): void =>
        error === null ? resolve(message) : reject(failureOf(spec, error));
      const common = [method.path, serialize(method), method.responseDeserialize] as const;
      if (!method.requestStream) {
        const call = connection.client.makeUnaryRequest(...common, input, metadataFor(spec), deadline, settle);
        release = cancelOn(options.signal, call);
        return;
      }
      const call = connection.client.makeClientStreamRequest(...common, metadataFor(spec), deadline, settle);
      release = cancelOn(options.signal, call);
      sendRequests(spec, call, reject);
    });
  } finally {
    release?.();
  }
}

async function* responses(spec: CallSpec): AsyncGenerator<unknown> {
  const { connection, method, input, options } = spec;
  const common = [method.path, serialize(method), method.responseDeserialize] as const;
  const deadline = deadlineFor(options.deadlineMs);
  let call: ClientReadableStream<unknown>;
  let sourceFailure: unknown;
  if (method.requestStream) {
    const duplex = connection.client.makeBidiStreamRequest(...common, metadataFor(spec), deadline);
    sendRequests(spec, duplex, (error) => (sourceFailure = error));
    call = duplex;
  } else {
    call = connection.client.makeServerStreamRequest(...common, input, metadataFor(spec), deadline);
  }
  const release = cancelOn(options.signal, call);
  // The loop below sees the error too, but only while it waits for a message.
  call.on('error', () => undefined);
  try {
    yield* call;
  } catch (error) {
    throw sourceFailure ?? failureOf(spec, error as ServiceError);
  } finally {
    release();
    call.cancel();
  }
}

type RequestStream = ClientWritableStream<unknown> | ClientDuplexStream<unknown, unknown>;

/** Sends what the source yields, as fast as the server takes it. A source that throws ends the call with its error. */
function sendRequests(spec: CallSpec, call: RequestStream, onSourceFailure: (error: unknown) => void): void {
  const over = new AbortController();
  const end = (): void => over.abort(new WeirError('CANCELLED', `"${spec.method.path}" has ended`));
  call.once('close', end);
  call.once('end', end);
  call.once('error', end);
  writeAll(call, spec.input as AsyncIterable<unknown>, over.signal).then(
    () => void call.end(),
    (error: unknown) => {
      if (over.signal.aborted) return;
      onSourceFailure(error);
      call.cancel();
    },
  );
}

const ready = (connection: Connection, deadlineMs: number): Promise<void> =>
  new Promise((resolve, reject) => {
    connection.client.waitForReady(Date.now() + deadlineMs, (error) => {
      if (error === undefined) return resolve();
      const message = `Cannot reach "${connection.target}" within ${deadlineMs} ms`;
      reject(new WeirError('TIMEOUT', message, { cause: error, details: { address: connection.target } }));
    });
  });
