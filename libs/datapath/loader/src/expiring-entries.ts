// SPDX-License-Identifier: Apache-2.0
import type { BpfMap } from '@weir/bpf-loader-node';
import type { Codec, MapSpec } from '@weir/datapath-layout';
import type { MapUse } from '@weir/datapath-maps';

const sliceEntries = 4096;

// An entry that has just expired may be brought to life again by a packet that is on its way; one that is long dead not.
const slackTicks = 5 << 10;

/** Time as the programs tell it, see `now_ticks()` in bpf/lib/clock.h: CLOCK_MONOTONIC in 2^20 ns, 32 bits. */
export function nowTicks(): number {
  return Number(BigInt.asUintN(32, process.hrtime.bigint() >> 20n));
}

/** How many ticks lie between two times; negative if `a` is before `b`. */
export function ticksBetween(times: { readonly from: number; readonly to: number }): number {
  return (times.to - times.from) | 0;
}

interface ExpiringSpec<K, V> extends MapSpec<K, V> {
  readonly value: Codec<V> & { readExpires(view: DataView, offset: number): number };
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** All entries that count, in slices; what has expired is left out. */
async function* listLiving<K, V extends { readonly expires: number }>(
  map: BpfMap,
  { key, value, keySize, valueSize }: ExpiringSpec<K, V>,
): AsyncGenerator<readonly { readonly key: K; readonly entry: V }[]> {
  for await (const { count, keys, values } of map.slices({ sliceEntries })) {
    const now = nowTicks();
    const slice: { key: K; entry: V }[] = [];
    for (let index = 0; index < count; index++) {
      const entry = value.decode(viewOf(values), index * valueSize);
      if (ticksBetween({ from: entry.expires, to: now }) >= 0) continue;
      slice.push({ key: key.decode(viewOf(keys), index * keySize), entry });
    }
    yield slice;
  }
}

/** Deletes what has expired some time ago, with the reading done on a pool thread. */
async function sweepExpired<K, V>(
  map: BpfMap,
  { value, keySize, valueSize }: ExpiringSpec<K, V>,
): Promise<{ readonly seen: number; readonly deleted: number }> {
  let seen = 0;
  let deleted = 0;
  for await (const { count, keys, values } of map.slices({ sliceEntries })) {
    const view = viewOf(values);
    const deadline = nowTicks() - slackTicks;
    const dead = new Uint8Array(count * keySize);
    let deadCount = 0;
    for (let index = 0; index < count; index++) {
      if (ticksBetween({ from: value.readExpires(view, index * valueSize), to: deadline }) < 0) continue;
      dead.set(keys.subarray(index * keySize, (index + 1) * keySize), deadCount * keySize);
      deadCount++;
    }
    seen += count;
    if (deadCount > 0) deleted += await map.deleteManyAsync(dead.subarray(0, deadCount * keySize));
  }
  return { seen, deleted };
}

/** A map whose entries have a time at which they end. */
export interface ExpiringTable<K, V> {
  /** What lives. */
  list(): AsyncIterable<readonly { readonly key: K; readonly entry: V }[]>;
  sweep(): Promise<{ readonly seen: number; readonly deleted: number }>;
  /** As the last sweep has counted: the kernel does not say how many there are. */
  use(): MapUse;
}

/** The open map; `name` is what people know it by. */
export function createExpiringTable<K, V extends { readonly expires: number }>(
  map: BpfMap,
  { name, spec }: { readonly name: string; readonly spec: ExpiringSpec<K, V> },
): ExpiringTable<K, V> {
  let entries = 0;
  return {
    list: () => listLiving(map, spec),
    async sweep() {
      const swept = await sweepExpired(map, spec);
      entries = swept.seen - swept.deleted;
      return swept;
    },
    use: () => ({ map: name, entries, entriesMax: map.info.maxEntries }),
  };
}
