// SPDX-License-Identifier: Apache-2.0
import { invalidField } from './field.ts';
import { RT_SCOPE } from './rtnetlink-constants.ts';

/** How far an address or the destination of a route is away. */
export type Scope = 'global' | 'site' | 'link' | 'host' | 'nowhere';

const numbers: Readonly<Record<Scope, number>> = {
  global: RT_SCOPE.UNIVERSE,
  site: RT_SCOPE.SITE,
  link: RT_SCOPE.LINK,
  host: RT_SCOPE.HOST,
  nowhere: RT_SCOPE.NOWHERE,
};

/** The kernel's number of a scope; throws `INVALID_ARGUMENT` naming `field`. */
export function scopeNumber(field: string, scope: Scope): number {
  const number: number | undefined = numbers[scope];
  if (number === undefined) {
    throw invalidField(field, { value: scope, expected: `one of ${Object.keys(numbers).join(', ')}` });
  }
  return number;
}

/** The scope of a kernel's number; a number nobody has given a name counts as global, like a user-defined scope. */
export function scopeName(number: number): Scope {
  return (Object.keys(numbers) as Scope[]).find((scope) => numbers[scope] === number) ?? 'global';
}
