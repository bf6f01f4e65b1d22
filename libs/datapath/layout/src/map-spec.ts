// SPDX-License-Identifier: Apache-2.0
import type { Codec } from './codec.ts';

/** What the kernel checks when a map is made or adopted. Sizes are in bytes. */
export interface MapShape {
  /** As bpftool prints it, for instance `lru_hash`. */
  readonly type: string;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags: number;
  /** What the maps inside look like, for a map of maps. */
  readonly inner?: MapShape;
}

/** A map of the datapath with the codecs of its keys and values. A per-CPU map has one value per CPU. */
export interface MapSpec<K, V> extends MapShape {
  /** The name in the object and under the pin directory. */
  readonly name: string;
  /** Rises with every change of the layout, so that an old pin is never misread. */
  readonly version: number;
  readonly key: Codec<K>;
  readonly value: Codec<V>;
}
