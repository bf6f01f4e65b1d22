// SPDX-License-Identifier: Apache-2.0
import type { FlowPolicy, FlowTable } from './flow-table.ts';

/** A table in which every flow has the same policy, which can be changed: for tests, and to run without the datapath. */
export interface MemoryFlowTable extends FlowTable {
  /** Decides anew about all flows, or forgets them. */
  set(policy: Omit<FlowPolicy, 'revision'> | undefined): void;
}

/** Knows every flow from the start, by `policy`. */
export function createMemoryFlowTable(policy: Omit<FlowPolicy, 'revision'>): MemoryFlowTable {
  let revision = 1;
  let current: FlowPolicy | undefined = { ...policy, revision };
  return {
    revision: () => revision,
    lookup: () => current,
    set(next) {
      revision++;
      current = next === undefined ? undefined : { ...next, revision };
    },
  };
}
