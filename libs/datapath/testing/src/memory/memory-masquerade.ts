// SPDX-License-Identifier: Apache-2.0
import type {
  MasqueradeCounts,
  MasqueradeDatapath,
  MasqueradedFlow,
  MasqueradeRange,
  UplinkAddresses,
} from '@weir/datapath-maps';

/** Masquerading in memory, with what a test wants to see of it. */
export interface MemoryMasquerade extends MasqueradeDatapath {
  readonly uplinks: readonly UplinkAddresses[];
  readonly excluded: readonly MasqueradeRange[];
  setFlows(flows: readonly MasqueradedFlow[]): void;
  setCounts(counts: MasqueradeCounts): void;
}

/** Makes one in which nothing flows. */
export function createMemoryMasquerade(): MemoryMasquerade {
  let uplinks: readonly UplinkAddresses[] = [];
  let excluded: readonly MasqueradeRange[] = [];
  let flows: readonly MasqueradedFlow[] = [];
  let counts: MasqueradeCounts = { mapped: 0, retries: 0, exhausted: 0 };
  return {
    get uplinks() {
      return uplinks;
    },
    get excluded() {
      return excluded;
    },
    setUplinks: (given) => void (uplinks = given),
    setExcluded: (given) => void (excluded = given),
    setFlows: (given) => void (flows = given),
    setCounts: (given) => void (counts = given),
    async *list() {
      yield flows;
    },
    counts: () => counts,
    sweep: async () => ({ seen: flows.length, deleted: 0 }),
  };
}
