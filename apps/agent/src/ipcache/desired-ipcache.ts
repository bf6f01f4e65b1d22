// SPDX-License-Identifier: Apache-2.0
import type { IpcacheMapEntry } from '@weir/datapath-maps';
import { type Cidr, cidrOfAddress, formatCidr } from '@weir/model';

/** Which identity each address range should have in the kernel. */
export interface DesiredIpcache {
  /** Notes ranges and returns them as map entries. */
  upsert(ranges: readonly { readonly range: Cidr; readonly identity: number }[]): readonly IpcacheMapEntry[];
  /** Forgets ranges and returns them as map entries. */
  remove(ranges: readonly Cidr[]): readonly Omit<IpcacheMapEntry, 'identity'>[];
  /** What the kernel has and should not have. */
  staleOf(found: readonly IpcacheMapEntry[]): readonly Omit<IpcacheMapEntry, 'identity'>[];
  entries(): readonly IpcacheMapEntry[];
}

const toEntry = ({ address, prefixLength }: Cidr): Omit<IpcacheMapEntry, 'identity'> => ({
  address,
  length: prefixLength,
});

/** Starts empty. */
export function createDesiredIpcache(): DesiredIpcache {
  const entries = new Map<string, IpcacheMapEntry>();
  return {
    upsert: (ranges) =>
      ranges.map(({ range, identity }) => {
        const entry = { ...toEntry(range), identity };
        entries.set(formatCidr(range), entry);
        return entry;
      }),
    remove: (ranges) =>
      ranges.map((range) => {
        entries.delete(formatCidr(range));
        return toEntry(range);
      }),
    staleOf: (found) =>
      found.filter(({ address, length }) => !entries.has(formatCidr({ address, prefixLength: length }))),
    entries: () => [...entries.values()],
  };
}

/** The ranges that hold one address each. */
export const rangesOf = (addresses: readonly Uint8Array[]): Cidr[] => addresses.map(cidrOfAddress);
