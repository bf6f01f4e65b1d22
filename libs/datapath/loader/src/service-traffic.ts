// SPDX-License-Identifier: Apache-2.0
import type { BpfMap, MapEntries } from '@weir/bpf-loader-node';
import { lbCounter } from '@weir/datapath-layout';
import type { BackendTraffic } from '@weir/datapath-maps';

type Sums = Map<number, BackendTraffic>;

function addEntries(sums: Sums, { count, keys, values }: MapEntries, stride: number): void {
  const keyView = new DataView(keys.buffer, keys.byteOffset, keys.byteLength);
  const valueView = new DataView(values.buffer, values.byteOffset, values.byteLength);
  for (let index = 0; index < count; index++) {
    let [connections, active, sentBytes, receivedBytes] = [0, 0, 0, 0];
    for (let at = index * stride; at < (index + 1) * stride; at += lbCounter.size) {
      connections += lbCounter.readConnectionsNumber(valueView, at);
      active += lbCounter.readOpenedNumber(valueView, at) - lbCounter.readEndedNumber(valueView, at);
      sentBytes += lbCounter.readSentBytesNumber(valueView, at);
      receivedBytes += lbCounter.readReceivedBytesNumber(valueView, at);
    }
    // CPUs are read one after the other: an end may be seen whose beginning was not.
    sums.set(keyView.getUint32(index * 4, true), {
      connections,
      active: Math.max(0, active),
      sentBytes,
      receivedBytes,
    });
  }
}

/** What has come of each backend, summed over all CPUs. */
export function readServiceTraffic(map: BpfMap): Sums {
  const sums: Sums = new Map();
  addEntries(sums, map.entries(), map.info.valueStride);
  return sums;
}

/** The same, read on another thread a slice at a time. */
export async function readServiceTrafficGradually(map: BpfMap): Promise<Sums> {
  const sums: Sums = new Map();
  for await (const slice of map.slices()) addEntries(sums, slice, map.info.valueStride);
  return sums;
}
