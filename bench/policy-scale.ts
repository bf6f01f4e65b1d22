// SPDX-License-Identifier: Apache-2.0
// Policy at scale: 10,000 identities, 1,000 rules, 100 local endpoints, in a process of its own. What one more identity
// costs must not depend on rules that do not select it: it is measured beside 9,000 of them, against none.
import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { type BenchPart, type BenchSettings, type Figure, interleaved } from './lib/index.ts';
import type { PolicyScaleResult } from './lib/policy-scale-process.ts';

const rules = { selecting: 1_000, others: 9_000 };
const timeoutMs = 120_000;
const dist = fileURLToPath(new URL('../dist/', import.meta.url));
const run = promisify(execFile);

/** As the agent runs: bundled, so that neither reading TypeScript nor its compiler counts. */
async function bundle(directory: string): Promise<string> {
  const outfile = join(directory, 'policy-scale.mjs');
  await build({
    entryPoints: [fileURLToPath(new URL('lib/policy-scale-process.ts', import.meta.url))],
    ...{ outfile, bundle: true, platform: 'node', format: 'esm', logLevel: 'error' },
    banner: {
      js: "import{createRequire as benchRequire}from'node:module';const require=benchRequire(import.meta.url);",
    },
    external: ['*.node'],
  });
  await copyFile(join(dist, 'bpf-loader.node'), join(directory, 'bpf-loader.node'));
  return outfile;
}

const changeNames = {
  identityAdded: 'one new identity',
  identityRemoved: 'one identity gone',
  ruleAdded: 'one new rule',
  ruleRemoved: 'one removed rule',
} as const;

interface Found {
  readonly alone: readonly PolicyScaleResult[];
  readonly crowded: readonly PolicyScaleResult[];
}

async function measureAll(directory: string, { runs, signal }: BenchSettings): Promise<Found> {
  const program = await bundle(directory);
  const bpffs = join(directory, 'bpffs');
  await mkdir(bpffs);
  const found = { alone: [] as PolicyScaleResult[], crowded: [] as PolicyScaleResult[] };
  const measure = async (name: keyof Found, others: number): Promise<number> => {
    const kernel = name === 'alone' ? [join(dist, 'bpf', 'weir.bpf.o'), bpffs] : [];
    const args = [program, String(rules.selecting), String(others), ...kernel];
    const { stdout } = await run(process.execPath, args, { timeout: timeoutMs, signal });
    return found[name].push(JSON.parse(stdout) as PolicyScaleResult);
  };
  await interleaved({
    ...{ runs, signal },
    variants: { alone: () => measure('alone', 0), crowded: () => measure('crowded', rules.others) },
  });
  // The first of each warmed up.
  return { alone: found.alone.slice(1), crowded: found.crowded.slice(1) };
}

function figuresOf({ alone, crowded }: Found): Figure[] {
  const values = (pick: (result: PolicyScaleResult) => number): number[] => alone.map(pick);
  const figure = (name: string, pick: (result: PolicyScaleResult) => number, target?: number): Figure => ({
    ...{ name, unit: 'ms', better: 'lower', ours: values(pick) },
    ...(target !== undefined && { target: { kind: 'value', value: target } }),
  });
  const perIdentity = ({ identityAdded }: PolicyScaleResult): number => identityAdded.p50;
  return [
    figure('everything from nothing', ({ fullMs }) => fullMs),
    figure('one new identity, p50', perIdentity),
    figure('one new identity, p99', ({ identityAdded }) => identityAdded.p99, 5),
    figure('one identity gone, p99', ({ identityRemoved }) => identityRemoved.p99, 5),
    figure('one new rule, p50', ({ ruleAdded }) => ruleAdded.p50),
    figure('one new rule, p99', ({ ruleAdded }) => ruleAdded.p99, 20),
    figure('one removed rule, p99', ({ ruleRemoved }) => ruleRemoved.p99, 20),
    ...(['identityAdded', 'identityRemoved', 'ruleAdded', 'ruleRemoved'] as const).flatMap((change) => [
      figure(`${changeNames[change]}, until in the kernel, p50`, ({ inKernel }) => inKernel?.[change].p50 ?? NaN),
      figure(
        `${changeNames[change]}, until in the kernel, p99`,
        ({ inKernel }) => inKernel?.[change].p99 ?? NaN,
        change.startsWith('identity') ? 5 : 20,
      ),
    ]),
    figure('event loop delay meanwhile, p99', ({ loopDelayP99Ms }) => loopDelayP99Ms, 20),
    { ...figure('resident memory', ({ residentMiB }) => residentMiB, 200), unit: 'MiB' },
    {
      ...{ name: 'one new identity, p50, 9,000 rules more', unit: 'ms', better: 'lower' },
      ours: crowded.map(perIdentity),
      baseline: { name: 'without them', values: values(perIdentity) },
      target: { kind: 'ratio', value: 1.25 },
    },
  ];
}

export const part: BenchPart = {
  name: 'policy-scale',
  async run(settings) {
    const directory = await mkdtemp(join(tmpdir(), 'weir-bench-policy-'));
    try {
      await settings.step('10,000 identities, 1,000 rules, 100 endpoints', async () =>
        figuresOf(await measureAll(directory, settings)),
      );
    } finally {
      await rm(directory, { recursive: true });
    }
  },
};
