// SPDX-License-Identifier: Apache-2.0
import type { MethodDefinition } from '@weir/proto';

/** Any method, whatever its messages are. */
export type AnyMethod = MethodDefinition<never, unknown, never, unknown>;

/** A service as `@weir/proto` defines it: method name → method. */
export type ServiceDefinition = Readonly<Record<string, AnyMethod>>;

/** The four message types of a method: what each side may send (plain objects), and what the other gets (decoded). */
export interface MethodTypes<Method extends AnyMethod> {
  readonly requestPlain: Parameters<Method['requestSerialize']>[0];
  readonly request: ReturnType<Method['requestDeserialize']>;
  readonly responsePlain: Parameters<Method['responseSerialize']>[0];
  readonly response: ReturnType<Method['responseDeserialize']>;
}

/** Picks one of four by what a method streams. */
export type ByStreaming<Method extends AnyMethod, Shapes extends StreamingShapes> = Method['requestStream'] extends true
  ? Method['responseStream'] extends true
    ? Shapes['bidi']
    : Shapes['clientStream']
  : Method['responseStream'] extends true
    ? Shapes['serverStream']
    : Shapes['unary'];

interface StreamingShapes {
  readonly unary: unknown;
  readonly serverStream: unknown;
  readonly clientStream: unknown;
  readonly bidi: unknown;
}
