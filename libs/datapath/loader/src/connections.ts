// SPDX-License-Identifier: Apache-2.0
import type { BpfMap } from '@weir/bpf-loader-node';
import { mapSpecs } from '@weir/datapath-layout';
import type { Connection, Datapath, MapUse } from '@weir/datapath-maps';

const { ct } = mapSpecs;
const sliceEntries = 4096;

// An entry that has just expired may be brought to life again by a packet that is on its way; one that is long dead not.
const slackTicks = 5 << 10;

/** Time as the programs tell it, see `now_ticks()` in bpf/lib/packet.h: CLOCK_MONOTONIC in 2^20 ns, 32 bits. */
export function nowTicks(): number {
  return Number(BigInt.asUintN(32, process.hrtime.bigint() >> 20n));
}

/** How many ticks lie between two times; negative if `a` is before `b`. */
export function ticksBetween(times: { readonly from: number; readonly to: number }): number {
  return (times.to - times.from) | 0;
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** All flows that count, in slices; what has expired is left out. */
async function* listConnections(map: BpfMap): AsyncGenerator<readonly Connection[]> {
  for await (const { count, keys, values } of map.slices({ sliceEntries })) {
    const now = nowTicks();
    const slice: Connection[] = [];
    for (let index = 0; index < count; index++) {
      const entry = ct.value.decode(viewOf(values), index * ct.valueSize);
      if (ticksBetween({ from: entry.expires, to: now }) >= 0) continue;
      slice.push({ key: ct.key.decode(viewOf(keys), index * ct.keySize), entry });
    }
    yield slice;
  }
}

/** Deletes what has expired some time ago, with the reading done on a pool thread. */
async function sweepConnections(map: BpfMap): Promise<{ readonly seen: number; readonly deleted: number }> {
  let seen = 0;
  let deleted = 0;
  for await (const { count, keys, values } of map.slices({ sliceEntries })) {
    const view = viewOf(values);
    const deadline = nowTicks() - slackTicks;
    const dead = new Uint8Array(count * ct.keySize);
    let deadCount = 0;
    for (let index = 0; index < count; index++) {
      const expires = ct.value.readExpires(view, index * ct.valueSize);
      if (ticksBetween({ from: expires, to: deadline }) < 0) continue;
      dead.set(keys.subarray(index * ct.keySize, (index + 1) * ct.keySize), deadCount * ct.keySize);
      deadCount++;
    }
    seen += count;
    if (deadCount > 0) deleted += await map.deleteManyAsync(dead.subarray(0, deadCount * ct.keySize));
  }
  return { seen, deleted };
}

/** The flows that the programs remember. */
export interface ConnectionTable {
  readonly list: Datapath['listConnections'];
  readonly sweep: Datapath['sweepConnections'];
  /** As the last sweep has counted: the kernel does not say how many there are. */
  use(): MapUse;
}

/** The open map. */
export function createConnectionTable(map: BpfMap): ConnectionTable {
  let entries = 0;
  return {
    list: () => listConnections(map),
    async sweep() {
      const swept = await sweepConnections(map);
      entries = swept.seen - swept.deleted;
      return swept;
    },
    use: () => ({ map: 'ct', entries, entriesMax: map.info.maxEntries }),
  };
}
