// SPDX-License-Identifier: Apache-2.0

/** How a property test is run, and how it is run again. */
export interface Replay {
  readonly seed: number;
  /** For the title of the suite, so that every run says how to repeat it. */
  readonly title: string;
  /** Passed to `fc.assert`. A failing run prints its `path`, which leads straight to the counterexample. */
  runs(numRuns: number): { readonly seed: number; readonly numRuns: number; readonly path?: string };
}

/** Takes the seed from `WEIR_SEED`, the path from `WEIR_PATH`, and more runs from `WEIR_RUNS` times as many. */
export function createReplay(env: Readonly<Record<string, string | undefined>> = process.env): Replay {
  const { WEIR_SEED, WEIR_PATH, WEIR_RUNS = '1' } = env;
  const seed = Number(WEIR_SEED ?? Math.floor(Math.random() * 2 ** 31));
  return {
    seed,
    title: `WEIR_SEED=${seed}`,
    runs: (numRuns) => ({
      seed,
      numRuns: Math.ceil(numRuns * Number(WEIR_RUNS)),
      ...(WEIR_PATH !== undefined && { path: WEIR_PATH }),
    }),
  };
}
