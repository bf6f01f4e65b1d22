// SPDX-License-Identifier: Apache-2.0
import type { ErrorCode } from './catalogue.ts';

/** What a {@link WeirError} carries besides its message. */
export interface WeirErrorOptions {
  readonly cause?: unknown;
  /** Machine-readable context: plain values only, they go to logs and over gRPC. */
  readonly details?: Readonly<Record<string, unknown>>;
}

/**
 * The one error class of Weir. `code` is stable and from the catalogue; `message` is for people: sentence case, no final
 * period, names the action, the value found and what was expected.
 */
export class WeirError extends Error {
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, options: WeirErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'WeirError';
    this.code = code;
    this.details = options.details ?? {};
  }

  /** Turns whatever was thrown into a WeirError; a WeirError comes back as it is. */
  static from(thrown: unknown, fallback: ErrorCode = 'INTERNAL'): WeirError {
    if (thrown instanceof WeirError) return thrown;
    if (thrown instanceof Error) return new WeirError(fallback, thrown.message, { cause: thrown });
    return new WeirError(fallback, String(thrown), { cause: thrown });
  }
}

/** Ends a `switch` over a union: the compiler proves that it is never reached, and at run time it is loud. */
export function unreachable(value: never): never {
  throw new WeirError('INTERNAL', `Unreachable value ${JSON.stringify(value)}`);
}

/** States what a programmer believes to be true; failing it is a bug in Weir, never bad input. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new WeirError('INTERNAL', `Assertion failed: ${message}`);
}
