// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';

/** A refused field: its name, the value found and what was expected. */
export function invalidField(field: string, found: { value: unknown; expected: string }): WeirError {
  return new WeirError(
    'INVALID_ARGUMENT',
    `Invalid ${field} ${JSON.stringify(found.value)}: expected ${found.expected}`,
    {
      details: { field, value: found.value, expected: found.expected },
    },
  );
}

/** Returns `value` if it is a whole number of at most 32 bits within the limits; throws `INVALID_ARGUMENT` otherwise. */
export function wholeNumber(field: string, value: number, { min = 0, max = 0xffff_ffff } = {}): number {
  if (!Number.isInteger(value) || value < min || value > max) {
    throw invalidField(field, { value, expected: `a whole number from ${min} to ${max}` });
  }
  return value;
}

const linkNameBytesMax = 15;

/** Returns `name` if the kernel could take it as a link's name; throws `INVALID_ARGUMENT` otherwise. */
export function linkName(field: string, name: string): string {
  const valid = typeof name === 'string' && /^[^\s/:\0]+$/u.test(name) && name !== '.' && name !== '..';
  if (!valid || new TextEncoder().encode(name).length > linkNameBytesMax) {
    throw invalidField(field, {
      value: name,
      expected: `a link name of 1 to ${linkNameBytesMax} bytes without space, slash or colon`,
    });
  }
  return name;
}
