// SPDX-License-Identifier: Apache-2.0
import type { BpfMap } from '@weir/bpf-loader-node';
import { mapSpecs, trafficCounter } from '@weir/datapath-layout';
import type { EventLoss, TrafficCount } from '@weir/datapath-maps';

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Packets and bytes of one counter, over all CPUs. */
export function sumTraffic(perCpu: Uint8Array): { readonly packets: number; readonly bytes: number } {
  const view = viewOf(perCpu);
  let packets = 0;
  let bytes = 0;
  for (let offset = 0; offset < perCpu.byteLength; offset += trafficCounter.size) {
    packets += trafficCounter.readPacketsNumber(view, offset);
    bytes += trafficCounter.readBytesNumber(view, offset);
  }
  return { packets, bytes };
}

/** What has been counted, over all CPUs; reasons and directions without a packet are left out. */
export function readTraffic(map: BpfMap): readonly TrafficCount[] {
  const { keys, values, count } = map.entries();
  const stride = map.info.valueStride;
  const counts: TrafficCount[] = [];
  for (let index = 0; index < count; index++) {
    const key = viewOf(keys).getUint32(index * 4, true);
    const { packets, bytes } = sumTraffic(values.subarray(index * stride, (index + 1) * stride));
    if (packets > 0) counts.push({ reason: key >> 2, direction: key & 3, packets, bytes });
  }
  return counts;
}

/** Events that could not be sent, CPU by CPU. */
export function readEventLossByCpu(map: BpfMap): readonly EventLoss[] {
  const { value } = mapSpecs.eventBudget;
  const perCpu = viewOf(map.lookup(new Uint8Array(4)) ?? new Uint8Array());
  const losses: EventLoss[] = [];
  for (let offset = 0; offset < perCpu.byteLength; offset += value.size) {
    losses.push({
      rateLimited: value.readLostRateLimitedNumber(perCpu, offset),
      ringFull: value.readLostRingFullNumber(perCpu, offset),
    });
  }
  return losses;
}

/** Events that could not be sent, over all CPUs. */
export function readEventLoss(map: BpfMap): EventLoss {
  return readEventLossByCpu(map).reduce(
    (sum, { rateLimited, ringFull }) => ({
      rateLimited: sum.rateLimited + rateLimited,
      ringFull: sum.ringFull + ringFull,
    }),
    { rateLimited: 0, ringFull: 0 },
  );
}
