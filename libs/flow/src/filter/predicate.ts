// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import type { flow } from '@weir/proto';

/** A flow as it is filtered: a message, or anything with the same properties. */
export type Flow = flow.Flow.$Properties;

/** One end of a flow. */
export type FlowEndpoint = flow.Endpoint.$Properties;

/** Whether a flow is wanted. */
export type Predicate = (flow: Flow) => boolean;

/** What is thrown for a filter that cannot be; the text is what users of the `hubble` command line know. */
export const refused = (message: string): WeirError => new WeirError('INVALID_ARGUMENT', message);

/** Whether any of the values is accepted by any of the tests. */
export const anyOf =
  <Value>(tests: readonly ((value: Value) => boolean)[]) =>
  (value: Value): boolean =>
    tests.some((test) => test(value));

/** Runs a compiler of one entry; what it throws begins with a prefix. */
export function prefixed<Result>(prefix: string, compile: () => Result): Result {
  try {
    return compile();
  } catch (thrown) {
    throw refused(`${prefix}${WeirError.from(thrown).message}`);
  }
}
