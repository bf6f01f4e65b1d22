// SPDX-License-Identifier: Apache-2.0
import { type MaglevItem, maglevTable } from './maglev-table.ts';

/** A table that is wanted. Equal signatures mean equal tables. */
export interface MaglevRequest {
  readonly signature: string;
  /** In the order of their keys. */
  readonly items: readonly MaglevItem[];
  readonly size: number;
}

/** Tables that have been made beforehand, by their signatures. */
export type BuiltTables = ReadonlyMap<string, Uint16Array>;

/** What a table of these items is known by. */
export function maglevRequest(items: Iterable<MaglevItem>, size: number): MaglevRequest {
  const sorted = [...items].sort((a, b) => (a.key < b.key ? -1 : 1));
  return { signature: `${size} ${sorted.map(({ key, weight }) => `${key}=${weight}`).join(' ')}`, items: sorted, size };
}

/** Makes what is asked for: takes milliseconds a table. */
export const buildTables = (requests: readonly MaglevRequest[]): Map<string, Uint16Array<ArrayBuffer>> =>
  new Map(requests.map(({ signature, items, size }) => [signature, maglevTable(items, size)]));
