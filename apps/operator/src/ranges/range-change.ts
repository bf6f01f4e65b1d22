// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { type Cidr, formatCidr, parseCidr } from '@weir/model';

/** The ranges that a node's pods get their addresses from, one of each family. */
export interface NodePodRanges {
  readonly ipv4: Cidr;
  readonly ipv6: Cidr;
}

/** What becomes of a node's ranges. */
export type RangeChange =
  | { readonly kind: 'assign'; readonly node: string; readonly ranges: NodePodRanges }
  | { readonly kind: 'release'; readonly node: string };

type WireChange = readonly ['assign', string, string, string] | readonly ['release', string];

/** Changes as an entry of a log: JSON, in ASCII. */
export const entryFromChanges = (changes: readonly RangeChange[]): string =>
  JSON.stringify(
    changes.map((change): WireChange =>
      change.kind === 'release'
        ? ['release', change.node]
        : ['assign', change.node, formatCidr(change.ranges.ipv4), formatCidr(change.ranges.ipv6)],
    ),
  );

/** Reads what {@link entryFromChanges} made. CORRUPT_STATE for anything else. */
export function changesFromEntry(entry: string): RangeChange[] {
  try {
    return (JSON.parse(entry) as WireChange[]).map(changeFromWire);
  } catch (error) {
    const { message } = error as Error;
    throw new WeirError(
      'CORRUPT_STATE',
      `"${entry.slice(0, 64)}" is not an entry of the log of pod ranges: ${message}`,
    );
  }
}

function changeFromWire(wire: WireChange): RangeChange {
  const [kind, node] = wire;
  if (typeof node !== 'string') throw new WeirError('CORRUPT_STATE', 'It names no node');
  if (kind === 'release') return { kind, node };
  if (kind !== 'assign') throw new WeirError('CORRUPT_STATE', `It has the kind "${String(kind)}"`);
  return { kind, node, ranges: { ipv4: parseCidr(wire[2]), ipv6: parseCidr(wire[3]) } };
}
