// SPDX-License-Identifier: Apache-2.0
import { type BpfMap, openRingReader } from '@weir/bpf-loader-node';
import type { EventBatch } from '@weir/datapath-maps';

// Programs do not wake the reader for every event (config_ring_wakeup_bytes): it looks by itself, fast enough for a person
// who watches and seldom enough to cost nothing.
const pollMs = 50;

/** Calls back with the events of the ring; see `Datapath.readEvents`. */
export function readEvents(map: BpfMap, onBatch: (batch: EventBatch) => void): () => void {
  const reader = openRingReader(map, {
    pollMs,
    keepAlive: false,
    onBatch: ({ bytes, offsets, count, lost }) =>
      onBatch({ view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), offsets, count, lost }),
  });
  return () => void reader.close();
}
