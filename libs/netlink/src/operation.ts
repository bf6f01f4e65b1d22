// SPDX-License-Identifier: Apache-2.0
import type { ErrorCode } from '@weir/errors';

/**
 * One thing to ask of the kernel, as a value: made by functions like `addVeth()` or `listRoutes()`, run by
 * `Netlink.run()` or, many at once, by `Netlink.batch()`. Making one checks its arguments and touches nothing.
 */
export interface Operation<Result> {
  /** What is done to what, for error messages: `Adding link "eth0"`. */
  readonly description: string;
  /** The complete netlink message, sequence number and port zero. */
  readonly message: Uint8Array;
  /** A dump answers with many messages, and can be interrupted by a change; the kernel runs one per socket at a time. */
  readonly isDump: boolean;
  /** Turns the bodies (what follows the message header) of the kernel's answers into the result. */
  readonly decode: (bodies: readonly Uint8Array[]) => Result;
  /** Failures that are an answer, and what the result then is. */
  readonly onFailure?: Partial<Record<ErrorCode, () => Result>>;
}

/** The same operation, for which one kind of failure is no failure: it then resolves with `result`. */
export function tolerating<Result, Instead>(
  operation: Operation<Result>,
  failure: { readonly code: ErrorCode; readonly result: Instead },
): Operation<Result | Instead> {
  return { ...operation, onFailure: { ...operation.onFailure, [failure.code]: () => failure.result } };
}

/** Decoder of operations whose only answer is that they succeeded. */
export const nothing = (): void => undefined;
