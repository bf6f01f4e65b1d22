// SPDX-License-Identifier: Apache-2.0
import { existsSync, readdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { type BpfMap, openPinnedMap, unpin } from '@weir/bpf-loader-node';
import { mapSpecs } from '@weir/datapath-layout';
import type { Pins } from './pins.ts';

/** Maps of a layout before: what they hold is carried over while the programs of before are being replaced. */
export interface FormerMaps {
  /** Takes over the flows that are not known yet. Can be called again: flows begin until no old program runs any more. */
  takeOver(): void;
  /** Unpins every map that this version does not have. */
  forget(): void;
}

// Its values are the first bytes of those of today; what has been added since was 0 then.
const formerConnections = 'weir_ct_v1';

function copyConnections(from: BpfMap, to: BpfMap): void {
  const { count, keys, values } = from.entries();
  const [before, now] = [from.info.valueSize, to.info.valueSize];
  const wider = new Uint8Array(count * now);
  for (let index = 0; index < count; index++) {
    wider.set(values.subarray(index * before, (index + 1) * before), index * now);
  }
  const { keySize } = to.info;
  for (let index = 0; index < count; index++) {
    const value = wider.subarray(index * now, (index + 1) * now);
    to.update(keys.subarray(index * keySize, (index + 1) * keySize), value, 'create');
  }
}

/** What an agent of a version before left. `connections` is the map of today. */
export function createFormerMaps(pins: Pins, connections: BpfMap): FormerMaps {
  return {
    takeOver() {
      const path = pins.map(formerConnections);
      if (!existsSync(path)) return;
      using former = openPinnedMap(path);
      const fits = former.info.keySize === connections.info.keySize;
      if (fits && former.info.valueSize < connections.info.valueSize) copyConnections(former, connections);
    },
    forget() {
      const known = new Set<string>(Object.values(mapSpecs).map(({ name }) => name));
      const directory = dirname(pins.map(formerConnections));
      for (const name of readdirSync(directory)) if (!known.has(name)) unpin(pins.map(name));
    },
  };
}
