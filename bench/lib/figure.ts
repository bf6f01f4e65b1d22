// SPDX-License-Identifier: Apache-2.0

/** What a figure should reach: against the baseline, or by itself in the figure's unit. */
export type Target =
  { readonly kind: 'ratio'; readonly value: number } | { readonly kind: 'value'; readonly value: number };

/** One thing that was measured, one value per run. */
export interface Figure {
  readonly name: string;
  readonly unit: string;
  readonly better: 'higher' | 'lower';
  readonly ours: readonly number[];
  /** Measured in the same run, turn by turn with ours. */
  readonly baseline?: { readonly name: string; readonly values: readonly number[] };
  readonly target?: Target;
  /** What Cilium reaches here, in the terms of the target: a ratio or a value. */
  readonly peer?: string;
}

/** How much to measure, and where to put what is found. */
export interface BenchSettings {
  /** Runs of each variant of a figure. */
  readonly runs: number;
  readonly durationMs: number;
  /** Aborted when nobody waits for the figures any more: what is under way ends soon, and cleans up. */
  readonly signal: AbortSignal;
  /** Tells a person what is going on. */
  readonly say: (line: string) => void;
  /**
   * Measures some figures. When that fails, the failure is reported and the part goes on: it must not hide what other
   * steps find. Rejects only when the signal is aborted.
   */
  readonly step: (name: string, measure: () => Promise<readonly Figure[]>) => Promise<void>;
}

/** A group of figures that share their preparation; it cleans up after itself, also when it fails. */
export interface BenchPart {
  readonly name: string;
  run(settings: BenchSettings): Promise<void>;
}
