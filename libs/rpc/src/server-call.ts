// SPDX-License-Identifier: Apache-2.0
import type { PeerCertificate } from 'node:tls';
import type {
  handleBidiStreamingCall,
  handleClientStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
  ServerDuplexStream,
  ServerReadableStream,
  ServerWritableStream,
  UntypedHandleCall,
} from '@grpc/grpc-js';
import { WeirError } from '@weir/errors';
import type { Logger } from '@weir/telemetry';
import { createAbortGate } from './abort-gate.ts';
import { statusFromError } from './error-status.ts';
import type { RpcCall } from './handlers.ts';
import type { AnyMethod } from './method-types.ts';
import { namesOf } from './tls.ts';
import { writeAll } from './write-all.ts';

/** What the calls of one server share. */
export interface CallContext {
  readonly log: Logger | undefined;
  /** Streams that are open now; a stopping server aborts them. */
  readonly openStreams: Set<AbortController>;
}

interface SurfaceCall {
  readonly cancelled: boolean;
  on(event: 'cancelled', listener: () => void): unknown;
  getPeer(): string;
  getDeadline(): Date | number;
  getAuthContext(): { readonly sslPeerCertificate?: PeerCertificate } | null;
}

type UnaryLike = (input: unknown, call: RpcCall) => unknown;
type StreamLike = (input: unknown, call: RpcCall) => AsyncIterable<unknown>;

function describeCall(surface: SurfaceCall, method: string): { call: RpcCall; abort: AbortController } {
  const abort = new AbortController();
  const cancel = (): void => abort.abort(new WeirError('CANCELLED', `The client gave up "${method}"`));
  surface.on('cancelled', cancel);
  if (surface.cancelled) cancel();
  const call = {
    signal: abort.signal,
    method,
    get peer() {
      return surface.getPeer();
    },
    get callerNames() {
      const certificate = surface.getAuthContext()?.sslPeerCertificate;
      return certificate && namesOf(certificate);
    },
    get deadlineMs() {
      return Number(surface.getDeadline());
    },
  };
  return { call, abort };
}

/** Makes the grpc-js handler of one method out of ours. */
export function handleCall(method: AnyMethod, handler: unknown, context: CallContext): UntypedHandleCall {
  if (method.responseStream) {
    return method.requestStream
      ? handleBidi(method, handler as StreamLike, context)
      : handleServerStream(method, handler as StreamLike, context);
  }
  return method.requestStream
    ? handleClientStream(method, handler as UnaryLike, context)
    : handleUnary(method, handler as UnaryLike, context);
}

function failure(thrown: unknown, call: RpcCall, context: CallContext): ReturnType<typeof statusFromError> {
  const known = thrown instanceof WeirError;
  if (!known || thrown.code === 'INTERNAL') {
    context.log?.error({ method: call.method, peer: call.peer, error: thrown }, 'Call failed unexpectedly');
  }
  // What an unknown error says is for our log, not for the client.
  return statusFromError(known ? thrown : new WeirError('INTERNAL', `Internal error in "${call.method}"`));
}

function handleUnary(method: AnyMethod, handler: UnaryLike, context: CallContext): handleUnaryCall<unknown, unknown> {
  return (surface, callback) => {
    const { call } = describeCall(surface, method.path);
    const run = async (): Promise<unknown> => handler(surface.request, call);
    run().then(
      (response) => callback(null, response),
      (thrown: unknown) => callback(failure(thrown, call, context)),
    );
  };
}

function handleClientStream(
  method: AnyMethod,
  handler: UnaryLike,
  context: CallContext,
): handleClientStreamingCall<unknown, unknown> {
  return (surface, callback) => {
    const { call, abort } = describeCall(surface, method.path);
    context.openStreams.add(abort);
    const run = async (): Promise<unknown> => handler(readRequests(surface, call), call);
    run()
      .then(
        (response) => callback(null, response),
        (thrown: unknown) => callback(failure(thrown, call, context)),
      )
      .finally(() => context.openStreams.delete(abort));
  };
}

function handleServerStream(
  method: AnyMethod,
  handler: StreamLike,
  context: CallContext,
): handleServerStreamingCall<unknown, unknown> {
  return (surface) => {
    const { call, abort } = describeCall(surface, method.path);
    streamResponses({ surface, call, abort, context, start: () => handler(surface.request, call) });
  };
}

function handleBidi(
  method: AnyMethod,
  handler: StreamLike,
  context: CallContext,
): handleBidiStreamingCall<unknown, unknown> {
  return (surface) => {
    const { call, abort } = describeCall(surface, method.path);
    streamResponses({ surface, call, abort, context, start: () => handler(readRequests(surface, call), call) });
  };
}

interface ResponseStream {
  readonly surface: ServerWritableStream<unknown, unknown> | ServerDuplexStream<unknown, unknown>;
  readonly call: RpcCall;
  readonly abort: AbortController;
  readonly context: CallContext;
  readonly start: () => AsyncIterable<unknown>;
}

function streamResponses({ surface, call, abort, context, start }: ResponseStream): void {
  context.openStreams.add(abort);
  const run = async (): Promise<void> => writeAll(surface, start(), call.signal);
  run()
    .then(
      () => void surface.end(),
      // After a cancel nobody listens any more; grpc-js ignores what is sent then.
      (thrown: unknown) => void surface.emit('error', failure(thrown, call, context)),
    )
    .finally(() => {
      context.openStreams.delete(abort);
      // Whoever waits on the signal for this call (a subscription, a timer) is let go, however the call ended.
      abort.abort(new WeirError('CANCELLED', `"${call.method}" has ended`));
    });
}

/** The client's messages, until it ends its side; throws CANCELLED when it goes away in between. */
async function* readRequests(
  surface: ServerReadableStream<unknown, unknown> | ServerDuplexStream<unknown, unknown>,
  call: RpcCall,
): AsyncGenerator<unknown> {
  const gate = createAbortGate(call.signal);
  // Not the stream's own iterator: leaving that early destroys a duplex stream, and with it our responses.
  const iterator = surface.iterator({ destroyOnReturn: false });
  try {
    for (;;) {
      const next = await gate.wait(iterator.next());
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    gate.dispose();
  }
}
