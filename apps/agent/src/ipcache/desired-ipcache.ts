// SPDX-License-Identifier: Apache-2.0
import type { DatapathChange, IpcacheMapEntry } from '@weir/datapath-maps';
import { type Cidr, cidrContains, cidrOfAddress, formatCidr, type IpAddress, reservedIdentity } from '@weir/model';

/** Ranges and who has them. */
export type IpcacheRange = { readonly range: Cidr; readonly identity: number };

/** What is wanted in the kernel after a change. */
export type IpcacheChange = Required<Pick<DatapathChange, 'ipcache' | 'ipcacheRemoved'>>;

/** Who says whose a range is: what is known of it counts more than that a policy names it. */
export type IpcacheSource = 'known' | 'policy';

/** Which identity each address range should have in the kernel. */
export interface DesiredIpcache {
  /** Notes ranges and returns what that means for the kernel. Removals come first. Default source: `known`. */
  change(change: {
    readonly upsert?: readonly IpcacheRange[];
    readonly remove?: readonly Cidr[];
    readonly source?: IpcacheSource;
  }): IpcacheChange;
  /** What the kernel has and should not have. */
  staleOf(found: readonly IpcacheMapEntry[]): readonly Omit<IpcacheMapEntry, 'identity'>[];
  entries(): readonly IpcacheMapEntry[];
}

interface Wanted {
  readonly range: Cidr;
  readonly identities: Map<IpcacheSource, number>;
}

const toEntry = ({ address, prefixLength }: Cidr): Omit<IpcacheMapEntry, 'identity'> => ({
  address,
  length: prefixLength,
});

const entryOf = ({ range, identities }: Wanted): IpcacheMapEntry[] => {
  const identity = identities.get('known') ?? identities.get('policy');
  return identity === undefined ? [] : [{ ...toEntry(range), identity }];
};

/** Starts empty. */
export function createDesiredIpcache(): DesiredIpcache {
  const byName = new Map<string, Wanted>();
  return {
    change({ upsert = [], remove = [], source = 'known' }) {
      const touched = new Map<string, Wanted>();
      const touch = (range: Cidr): Wanted => {
        const name = formatCidr(range);
        const wanted = byName.get(name) ?? { range, identities: new Map() };
        byName.set(name, wanted);
        touched.set(name, wanted);
        return wanted;
      };
      for (const range of remove) touch(range).identities.delete(source);
      for (const { range, identity } of upsert) touch(range).identities.set(source, identity);
      const gone = [...touched].filter(([, { identities }]) => identities.size === 0);
      for (const [name] of gone) byName.delete(name);
      return {
        ipcache: [...touched.values()].flatMap(entryOf),
        ipcacheRemoved: gone.map(([, { range }]) => toEntry(range)),
      };
    },
    staleOf: (found) =>
      found.filter(({ address, length }) => !byName.has(formatCidr({ address, prefixLength: length }))),
    entries: () => [...byName.values()].flatMap(entryOf),
  };
}

/** The ranges that hold one address each. */
export const rangesOf = (addresses: readonly Uint8Array[]): Cidr[] => addresses.map(cidrOfAddress);

/** Who has an address, as the kernel finds it: by the longest range. */
export function identityOfAddress(ipcache: Pick<DesiredIpcache, 'entries'>, address: IpAddress): number {
  let best: { readonly identity: number; readonly length: number } = { identity: reservedIdentity.world, length: -1 };
  for (const { address: base, length, identity } of ipcache.entries()) {
    if (length > best.length && cidrContains({ address: base, prefixLength: length }, address)) {
      best = { identity, length };
    }
  }
  return best.identity;
}
