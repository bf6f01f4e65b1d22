// SPDX-License-Identifier: Apache-2.0
import type { BpfMap } from '@weir/bpf-loader-node';
import { trafficCounter } from '@weir/datapath-layout';

/** One cell of the metrics: packets and bytes by reason and direction, over all CPUs. */
export interface Count {
  readonly reason: number;
  readonly direction: number;
  readonly packets: number;
  readonly bytes: number;
}

/** What the programs count. */
export interface Metrics {
  /** Every cell with a packet in it. */
  all(): readonly Count[];
  /** What has been added since the last call of any of these functions. */
  added(): readonly Count[];
  clear(): void;
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Reads the per-CPU array of the programs. */
export function createMetrics(map: BpfMap): Metrics {
  const stride = map.info.valueStride;
  let last = map.entries();

  const cellAt = (values: DataView, index: number): { packets: number; bytes: number } => {
    const sum = { packets: 0, bytes: 0 };
    for (let offset = index * stride; offset < (index + 1) * stride; offset += trafficCounter.size) {
      sum.packets += trafficCounter.readPacketsNumber(values, offset);
      sum.bytes += trafficCounter.readBytesNumber(values, offset);
    }
    return sum;
  };

  return {
    all() {
      last = map.entries();
      const { keys, values, count } = last;
      return Array.from({ length: count }, (_, index) => {
        const cell = viewOf(keys).getUint32(index * 4, true);
        return { reason: cell >> 2, direction: cell & 3, ...cellAt(viewOf(values), index) };
      }).filter(({ packets }) => packets > 0);
    },
    added() {
      const before = last;
      last = map.entries();
      const counts: Count[] = [];
      for (let index = 0; index < last.count; index++) {
        const [start, end] = [index * stride, (index + 1) * stride];
        // Of a thousand cells one has changed, so most need no more than this.
        if (Buffer.compare(before.values.subarray(start, end), last.values.subarray(start, end)) === 0) continue;
        const cell = viewOf(last.keys).getUint32(index * 4, true);
        const [old, now] = [cellAt(viewOf(before.values), index), cellAt(viewOf(last.values), index)];
        const rise = { packets: now.packets - old.packets, bytes: now.bytes - old.bytes };
        counts.push({ reason: cell >> 2, direction: cell & 3, ...rise });
      }
      return counts;
    },
    clear() {
      const zero = new Uint8Array(stride);
      for (const { reason, direction } of this.all()) {
        map.update(new Uint8Array(Uint32Array.of(reason * 4 + direction).buffer), zero);
      }
      last = map.entries();
    },
  };
}
