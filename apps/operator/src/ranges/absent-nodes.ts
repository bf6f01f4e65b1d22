// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@weir/clock';
import type { NodePodRanges } from './range-change.ts';

/** Nodes that have ranges and are not in the cluster, and since when. */
export interface AbsentNodes {
  /** Looks who is there. Returns who has been gone for the whole grace. */
  look(
    assigned: Iterable<readonly [node: string, ranges: NodePodRanges]>,
    isPresent: (node: string) => boolean,
  ): readonly (readonly [node: string, ranges: NodePodRanges])[];
  /** The node has just asked for its ranges: it is about to come. */
  touch(node: string): void;
  /** Nobody can see who is there, or this operator has not led: that time counts for nobody. */
  forget(): void;
  /** In wall-clock time; undefined for a node that is there. */
  sinceMs(node: string): number | undefined;
}

/** Makes the account; nobody is absent. */
export function createAbsentNodes({
  graceMs,
  clock,
}: {
  readonly graceMs: number;
  readonly clock: Clock;
}): AbsentNodes {
  const since = new Map<string, { readonly monotonicMs: number; readonly wallMs: number }>();
  const begin = (node: string): void => {
    since.set(node, { monotonicMs: clock.monotonicMs(), wallMs: clock.nowMs() });
  };
  return {
    look(assigned, isPresent) {
      const gone: (readonly [string, NodePodRanges])[] = [];
      const seen = new Set<string>();
      for (const [node, ranges] of assigned) {
        if (isPresent(node)) continue;
        seen.add(node);
        const began = since.get(node);
        if (began === undefined) begin(node);
        else if (clock.monotonicMs() - began.monotonicMs >= graceMs) gone.push([node, ranges]);
      }
      for (const node of since.keys()) if (!seen.has(node)) since.delete(node);
      return gone;
    },
    touch(node) {
      if (since.has(node)) begin(node);
    },
    forget: () => since.clear(),
    sinceMs: (node) => since.get(node)?.wallMs,
  };
}
