// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { weir } from '@weir/proto';
import type { RequestHeaders } from './request-headers.ts';

/** A header that a request must have. */
export interface HeaderConditionSpec {
  /** Lower case. */
  readonly name: string;
  /** What its fields, joined by commas, must be; absent: anything. */
  readonly value?: string;
}

/** What is done with a header that does not have the wanted value. */
export const headerMismatches = ['LOG', 'ADD', 'DELETE', 'REPLACE'] as const;
/** One of {@link headerMismatches}. */
export type HeaderMismatch = (typeof headerMismatches)[number];

/** A header that is put right; it never makes a request fail. */
export interface HeaderRepairSpec {
  /** Lower case. */
  readonly name: string;
  readonly value: string;
  readonly mismatch: HeaderMismatch;
}

/** A header that did not have the value that a rule wants. */
export interface HeaderDifference extends HeaderRepairSpec {
  /** Undefined: the request had no such header. */
  readonly found: string | undefined;
}

/** The wire's names of what is done. */
export const mismatchMessages: Readonly<Record<HeaderMismatch, weir.proxy.v1.HeaderMismatch>> = {
  LOG: weir.proxy.v1.HeaderMismatch.HEADER_MISMATCH_LOG,
  ADD: weir.proxy.v1.HeaderMismatch.HEADER_MISMATCH_ADD,
  DELETE: weir.proxy.v1.HeaderMismatch.HEADER_MISMATCH_DELETE,
  REPLACE: weir.proxy.v1.HeaderMismatch.HEADER_MISMATCH_REPLACE,
};

// Whoever changes these changes where a request ends, whom it is for, or what the next recipient takes out of it.
const framingHeaders = new Set([
  ...['connection', 'content-length', 'expect', 'host', 'keep-alive', 'proxy-connection', 'te', 'trailer'],
  ...['transfer-encoding', 'upgrade'],
]);

const isName = (name: string): boolean => /^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name);
// What is at the ends never reaches anybody, and a line break would begin another header.
const isValue = (value: string): boolean => /^[!-~\x80-\xff]([\t -~\x80-\xff]*[!-~\x80-\xff])?$/.test(value);

function refuse(what: string, expected: string): never {
  throw new WeirError('INVALID_ARGUMENT', `${what}; expected ${expected}`);
}

/** Throws INVALID_ARGUMENT for what must not be written into a request, whoever says so. */
export function checkHeaderRules(
  conditions: readonly HeaderConditionSpec[],
  repairs: readonly HeaderRepairSpec[],
): void {
  for (const { name } of [...conditions, ...repairs]) {
    if (!isName(name)) refuse(`${JSON.stringify(name)} is not the name of a header`, 'a token in lower case');
  }
  for (const { name, value, mismatch } of repairs) {
    if (!isValue(value)) refuse(`${JSON.stringify(value)} is not the value of a header`, 'visible characters');
    if (!headerMismatches.includes(mismatch)) refuse(`"${String(mismatch)}" is unknown`, headerMismatches.join(', '));
    if (mismatch !== 'LOG' && framingHeaders.has(name)) refuse(`The header "${name}" cannot be changed`, 'another one');
  }
}

/** Whether a request has all headers that it must have. */
export function meetsConditions(conditions: readonly HeaderConditionSpec[], headers: RequestHeaders): boolean {
  return conditions.every(({ name, value }) => {
    const found = headers.isHopByHop(name) ? undefined : headers.valueOf(name);
    return value === undefined ? found !== undefined : found === value;
  });
}

/** Whether headers can be put right so that it reaches the server. */
export const canRepair = (repairs: readonly HeaderRepairSpec[], headers: RequestHeaders): boolean =>
  repairs.every(({ name, mismatch }) => mismatch === 'LOG' || !headers.isHopByHop(name));

/** Puts headers right, one after the other, and says which were not. */
export function repairHeaders(repairs: readonly HeaderRepairSpec[], headers: RequestHeaders): HeaderDifference[] {
  return repairs.flatMap((repair) => {
    const { name, value, mismatch } = repair;
    const found = headers.valueOf(name);
    if (found === value) return [];
    if (mismatch === 'DELETE' || mismatch === 'REPLACE') headers.remove(name);
    if (mismatch === 'ADD' || mismatch === 'REPLACE') headers.add(name, value);
    return [{ ...repair, found }];
  });
}
