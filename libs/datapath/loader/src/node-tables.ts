// SPDX-License-Identifier: Apache-2.0
import type { BpfMap } from '@weir/bpf-loader-node';
import { mapSpecs } from '@weir/datapath-layout';
import type { DatapathNode } from '@weir/datapath-maps';
import { WeirError } from '@weir/errors';
import { createMapRows } from './map-rows.ts';

/** The nodes that the overlay leads to, by the numbers that this node gives them. */
export interface NodeTables {
  /** Makes them exactly these; true if anything has changed. RESOURCE_EXHAUSTED: nothing has. */
  set(nodes: readonly DatapathNode[]): boolean;
  list(): readonly DatapathNode[];
}

type Row = readonly [key: string, keyBytes: Uint8Array, length: number, number: number];

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const fromHex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));
const isSet = (address: Uint8Array): boolean => address.some((byte) => byte !== 0);
const exact = 128;
const nowhere = new Uint8Array(16);

const rangeOf = (key: string): DatapathNode['podRanges'][number] => {
  const [address = '', length = ''] = key.split('/');
  return { address: fromHex(address), length: Number(length) };
};

/** Numbers for nodes: those that are known keep theirs, because running flows have it in their entries. */
function numberNodes(nodes: readonly DatapathNode[], known: ReadonlyMap<string, number>): Map<string, number> {
  const wanted = new Set(nodes.map(({ address }) => hex(address)));
  const numbers = new Map([...known].filter(([address]) => wanted.has(address)));
  const taken = new Set(numbers.values());
  let next = 1;
  for (const address of wanted) {
    if (numbers.has(address)) continue;
    while (taken.has(next)) next += 1;
    if (next >= mapSpecs.nodes.maxEntries) {
      const limit = mapSpecs.nodes.maxEntries - 1;
      throw new WeirError('RESOURCE_EXHAUSTED', `There are ${wanted.size} other nodes; the overlay leads to ${limit}`);
    }
    taken.add(next);
    numbers.set(address, next);
  }
  return numbers;
}

/** What refers to a node: its addresses in a hash, its pod ranges in a trie. Keys are text, `hex/length`. */
function createReferences(maps: { readonly addresses: BpfMap; readonly ranges: BpfMap }) {
  const addresses = createMapRows(maps.addresses, mapSpecs.nodeAddresses);
  const ranges = createMapRows(maps.ranges, mapSpecs.podRanges);
  // As in the ipcache: a trie finds the longest prefix, so what is in it has to be remembered.
  const known = new Map<string, number>([
    ...addresses.all().map(([address, { number }]) => [`${hex(address)}/${exact}`, number] as const),
    ...ranges.all().map(([key, { number }]) => [`${hex(key.address)}/${key.prefixLength}`, number] as const),
  ]);
  return {
    known,
    put([key, address, length, number]: Row): boolean {
      if (known.get(key) === number) return false;
      if (length === exact) addresses.setAll([[address, { number }]]);
      else ranges.setAll([[{ address, prefixLength: length }, { number }]]);
      known.set(key, number);
      return true;
    },
    retain(keys: ReadonlySet<string>): boolean {
      const gone = [...known.keys()].filter((key) => !keys.has(key));
      for (const key of gone) {
        const { address, length } = rangeOf(key);
        if (length === exact) addresses.delete(address);
        else ranges.delete({ address, prefixLength: length });
        known.delete(key);
      }
      return gone.length > 0;
    },
  };
}

function rowsOf(all: readonly DatapathNode[], numbers: ReadonlyMap<string, number>): Row[] {
  return all.flatMap(({ address, addresses, podRanges }) => {
    const number = numbers.get(hex(address)) ?? 0;
    return [
      ...addresses.map((each): Row => [`${hex(each)}/${exact}`, each, exact, number]),
      ...podRanges.map((each): Row => [`${hex(each.address)}/${each.length}`, each.address, each.length, number]),
    ];
  });
}

/** The open maps. */
export function createNodeTables(maps: {
  readonly nodes: BpfMap;
  readonly addresses: BpfMap;
  readonly ranges: BpfMap;
}): NodeTables {
  const places = createMapRows(maps.nodes, mapSpecs.nodes);
  const references = createReferences(maps);
  let numbers = new Map(
    places.all().flatMap(([number, address]) => (isSet(address) ? [[hex(address), number] as const] : [])),
  );

  return {
    set(wanted) {
      const before = numbers;
      const after = numberNodes(wanted, before);
      const rows = rowsOf(wanted, after);
      // Where a node is comes before what refers to it, and goes after.
      const added = [...after].filter(([address, number]) => before.get(address) !== number);
      for (const [address, number] of added) places.setAll([[number, fromHex(address)]]);
      const hasPut = rows.map(references.put).includes(true);
      const hasRemoved = references.retain(new Set(rows.map(([key]) => key)));
      const taken = new Set(after.values());
      const freed = [...before].filter(([address]) => !after.has(address));
      for (const [, number] of freed) if (!taken.has(number)) places.setAll([[number, nowhere]]);
      numbers = after;
      return added.length + freed.length > 0 || hasPut || hasRemoved;
    },
    list: () =>
      [...numbers].map(([address, number]) => {
        const own = [...references.known].filter((each) => each[1] === number).map(([key]) => rangeOf(key));
        return {
          address: fromHex(address),
          addresses: own.filter(({ length }) => length === exact).map((each) => each.address),
          podRanges: own.filter(({ length }) => length !== exact),
        };
      }),
  };
}
