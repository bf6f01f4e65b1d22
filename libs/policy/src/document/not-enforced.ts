// SPDX-License-Identifier: Apache-2.0

/** Refusal of a field of the language that the datapath or the proxy of this version cannot enforce. */
export const notEnforced = (what: string): string => `Not enforced by this version: ${what}`;

/** The same refusal for several fields. */
export function allNotEnforced(fields: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(fields).map(([field, what]) => [field, notEnforced(what)]));
}
