// SPDX-License-Identifier: Apache-2.0
import type { BpfMap } from '@weir/bpf-loader-node';
import { mapSpecs } from '@weir/datapath-layout';
import type { EventLoss, TrafficCount } from '@weir/datapath-maps';

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** What has been counted, over all CPUs; reasons and directions without a packet are left out. */
export function readTraffic(map: BpfMap): readonly TrafficCount[] {
  const { value } = mapSpecs.metrics;
  const { keys, values, count } = map.entries();
  const stride = map.info.valueStride;
  const counts: TrafficCount[] = [];
  for (let index = 0; index < count; index++) {
    const key = viewOf(keys).getUint32(index * 4, true);
    let packets = 0;
    let bytes = 0;
    for (let offset = index * stride; offset < (index + 1) * stride; offset += value.size) {
      packets += value.readPacketsNumber(viewOf(values), offset);
      bytes += value.readBytesNumber(viewOf(values), offset);
    }
    if (packets > 0) counts.push({ reason: key >> 2, direction: key & 3, packets, bytes });
  }
  return counts;
}

/** Events that could not be sent, over all CPUs. */
export function readEventLoss(map: BpfMap): EventLoss {
  const { value } = mapSpecs.eventBudget;
  const perCpu = viewOf(map.lookup(new Uint8Array(4)) ?? new Uint8Array());
  let rateLimited = 0;
  let ringFull = 0;
  for (let offset = 0; offset < perCpu.byteLength; offset += value.size) {
    rateLimited += value.readLostRateLimitedNumber(perCpu, offset);
    ringFull += value.readLostRingFullNumber(perCpu, offset);
  }
  return { rateLimited, ringFull };
}
