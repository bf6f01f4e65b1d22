// SPDX-License-Identifier: Apache-2.0
import type { BpfMap } from '@weir/bpf-loader-node';
import type { EventBatch } from '@weir/datapath-maps';
import { WeirError } from '@weir/errors';

/** Calls back with the events of the ring; see `Datapath.readEvents`. */
export function readEvents(map: BpfMap, _onBatch: (batch: EventBatch) => void): () => Promise<void> {
  throw new WeirError('NOT_SUPPORTED', `Reading events from "${map.info.name}" waits for the ring reader`);
}
