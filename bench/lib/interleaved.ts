// SPDX-License-Identifier: Apache-2.0
import type { BenchSettings } from './figure.ts';

/** Makes one run of a variant and gives its figure. */
export type Measure = () => Promise<number>;

/**
 * Runs the variants turn by turn, forwards and then backwards (A B, B A, A B …), so that a machine that gets slower or
 * faster favours none. The first turn warms up and is thrown away. Rejects between two runs when the signal is aborted.
 */
export async function interleaved<Name extends string>(
  options: Pick<BenchSettings, 'runs' | 'signal'> &
    Partial<Pick<BenchSettings, 'say'>> & { readonly variants: Readonly<Record<Name, Measure>> },
): Promise<Record<Name, number[]>> {
  const { runs, signal, say } = options;
  const variants = Object.entries(options.variants) as [Name, Measure][];
  const values = Object.fromEntries(variants.map(([name]) => [name, [] as number[]])) as Record<Name, number[]>;
  for (const [, measure] of variants) await measure();
  for (let run = 0; run < runs; run++) {
    say?.(`  run ${run + 1} of ${runs}`);
    for (const [name, measure] of run % 2 === 0 ? variants : variants.toReversed()) {
      signal.throwIfAborted();
      values[name].push(await measure());
    }
  }
  return values;
}
