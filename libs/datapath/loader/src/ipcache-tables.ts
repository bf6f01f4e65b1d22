// SPDX-License-Identifier: Apache-2.0
import type { BpfMap } from '@weir/bpf-loader-node';
import { type IpPrefix, type IpcacheEntry, mapSpecs } from '@weir/datapath-layout';
import type { IpcacheMapEntry, MapUse } from '@weir/datapath-maps';
import { createMapRows, replaceRows } from './map-rows.ts';
import { type Undo, undoAlso } from './undo.ts';

const addressBits = 128;

type Range = Omit<IpcacheMapEntry, 'identity'>;

/** Which identity has which address: exact addresses in a hash, longer ranges in a trie behind it. */
export interface IpcacheTables {
  /** Returns what puts it back, undefined when nothing changed. Throws RESOURCE_EXHAUSTED, and then nothing has. */
  upsert(entries: readonly IpcacheMapEntry[]): Undo | undefined;
  remove(ranges: readonly Range[]): boolean;
  list(): Promise<readonly IpcacheMapEntry[]>;
  use(): readonly MapUse[];
}

/** The open maps. */
export function createIpcacheTables(maps: { readonly addresses: BpfMap; readonly prefixes: BpfMap }): IpcacheTables {
  const addresses = createMapRows(maps.addresses, mapSpecs.ipcache);
  const prefixes = createMapRows(maps.prefixes, mapSpecs.prefixes);
  const isExact = ({ length }: Range): boolean => length === addressBits;
  const prefixOf = ({ address, length }: Range): IpPrefix => ({ address, prefixLength: length });

  // A trie finds the longest prefix, not an equal one: what is in it has to be remembered.
  const nameOf = ({ address, prefixLength }: IpPrefix): string =>
    `${Buffer.from(address).toString('hex')}/${prefixLength}`;
  const known = new Map(prefixes.all().map(([key, { identity }]) => [nameOf(key), identity]));

  const isSame = (entry: IpcacheMapEntry): boolean =>
    (isExact(entry) ? addresses.get(entry.address)?.identity : known.get(nameOf(prefixOf(entry)))) === entry.identity;

  const valueOf = ({ identity }: IpcacheMapEntry): IpcacheEntry => ({ identity });

  const setPrefixes = (entries: readonly IpcacheMapEntry[]): Undo => {
    const before = entries.map((entry) => [entry, known.get(nameOf(prefixOf(entry)))] as const);
    const putBack = (): void => {
      for (const [entry, identity] of before) {
        if (identity === undefined) removePrefix(entry);
        else setPrefix({ ...entry, identity });
      }
    };
    return undoAlso(putBack, () => {
      entries.forEach(setPrefix);
      return () => undefined;
    });
  };
  const setPrefix = (entry: IpcacheMapEntry): void => {
    prefixes.setAll([[prefixOf(entry), valueOf(entry)]]);
    known.set(nameOf(prefixOf(entry)), entry.identity);
  };
  const removePrefix = (range: Range): boolean => {
    known.delete(nameOf(prefixOf(range)));
    return prefixes.delete(prefixOf(range));
  };

  return {
    upsert(entries) {
      const changed = entries.filter((entry) => !isSame(entry));
      if (changed.length === 0) return undefined;
      const exact = changed.filter(isExact).map((entry) => [entry.address, valueOf(entry)] as const);
      return undoAlso(replaceRows(addresses, exact), () => setPrefixes(changed.filter((each) => !isExact(each))));
    },
    remove: (ranges) =>
      ranges.map((range) => (isExact(range) ? addresses.delete(range.address) : removePrefix(range))).includes(true),
    use: () => [{ map: 'prefixes', entries: known.size, entriesMax: maps.prefixes.info.maxEntries }],
    async list() {
      const found: IpcacheMapEntry[] = prefixes
        .all()
        .map(([key, { identity }]) => ({ address: key.address, length: key.prefixLength, identity }));
      for await (const { count, keys, values } of maps.addresses.slices()) {
        const view = new DataView(values.buffer, values.byteOffset, values.byteLength);
        for (let index = 0; index < count; index++) {
          found.push({
            address: keys.slice(index * mapSpecs.ipcache.keySize, (index + 1) * mapSpecs.ipcache.keySize),
            length: addressBits,
            identity: mapSpecs.ipcache.value.readIdentity(view, index * mapSpecs.ipcache.valueSize),
          });
        }
      }
      return found;
    },
  };
}
