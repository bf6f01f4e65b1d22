// SPDX-License-Identifier: Apache-2.0
import type { AnyMethod, ByStreaming, MethodTypes, ServiceDefinition } from './method-types.ts';

/** What a handler knows of the call besides its request. */
export interface RpcCall {
  /** Aborts when the client goes away or cancels, the deadline passes, or (streams) the server stops. */
  readonly signal: AbortSignal;
  /** Full name, as in `/weir.identity.v1.IdentityAllocator/Allocate`. */
  readonly method: string;
  /** Address of the client, for logs. */
  readonly peer: string;
  /** The names in the client's certificate; undefined where it showed none (unix sockets, plaintext). */
  readonly callerNames: readonly string[] | undefined;
  /** When the client stops waiting, in milliseconds since 1970; infinite where it set no deadline. */
  readonly deadlineMs: number;
}

type MaybePromise<T> = T | Promise<T>;

interface HandlerShapes<Types extends MethodTypes<AnyMethod>> {
  readonly unary: (request: Types['request'], call: RpcCall) => MaybePromise<Types['responsePlain']>;
  readonly serverStream: (request: Types['request'], call: RpcCall) => AsyncIterable<Types['responsePlain']>;
  readonly clientStream: (
    requests: AsyncIterable<Types['request']>,
    call: RpcCall,
  ) => MaybePromise<Types['responsePlain']>;
  readonly bidi: (requests: AsyncIterable<Types['request']>, call: RpcCall) => AsyncIterable<Types['responsePlain']>;
}

/**
 * One function per method. Streams are async iterables both ways: the next response is asked for only when the last ones
 * have been taken, so a slow client slows the handler and nothing piles up. A handler that waits for events of its own
 * must stop waiting when `call.signal` aborts (`createStreamQueue` takes the signal). A WeirError that is thrown reaches
 * the client as it is; anything else is logged and becomes INTERNAL.
 */
export type Handlers<Definition extends ServiceDefinition> = {
  readonly [Name in keyof Definition]: ByStreaming<Definition[Name], HandlerShapes<MethodTypes<Definition[Name]>>>;
};

/** A service ready to be served. */
export interface RpcService {
  /** Full name, as in `weir.identity.v1.IdentityAllocator`. */
  readonly name: string;
  readonly definition: ServiceDefinition;
  readonly handlers: Readonly<Record<string, unknown>>;
}

/** Ties handlers to the definition they implement. */
export function rpcService<Definition extends ServiceDefinition>(
  definition: Definition,
  handlers: Handlers<Definition>,
): RpcService {
  const [first] = Object.values(definition);
  return { name: first?.path.split('/')[1] ?? '', definition, handlers };
}
