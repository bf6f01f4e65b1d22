// SPDX-License-Identifier: Apache-2.0
// The walkthrough of `make demo`: identity, L4 and HTTP policy on this kernel. Exit status 1 when anything differs from what
// it should be. NODES=2 spreads the pods over nodes, ROUTING=direct has them
// reached by routes instead of the overlay, KEEP=1 leaves the lab up, WEIR_LAB names another lab than the default.
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { WeirError } from '@weir/errors';
import { createLab, type Lab } from '@weir/lab';
import { serveDeathstar } from './deathstar.ts';
import { createNarrator } from './narrator.ts';
import { createWeirCommand } from './weir-command.ts';
import { shipNames, walkThrough, whatNext } from './walkthrough.ts';

// As a bundle this is dist/demo.mjs, from the sources tools/demo/src/main.ts.
const root = join(import.meta.dirname, import.meta.filename.endsWith('.ts') ? '../../..' : '..');
const defaultLab = 'weir';

const usage = `Usage: demo [--keep] [--nodes COUNT] [--routing direct|overlay]

  --keep         leave the lab up afterwards (also KEEP=1)
  --nodes COUNT  spread the pods over so many nodes (also NODES=COUNT)
  --routing MODE how packets reach pods of other nodes: direct or overlay (also ROUTING=MODE)
`;

interface DemoOptions {
  readonly keep: boolean;
  readonly nodeCount: number;
  readonly routing: string | undefined;
}

function readOptions(): DemoOptions {
  const { values } = parseArgs({
    options: {
      keep: { type: 'boolean' },
      nodes: { type: 'string' },
      routing: { type: 'string' },
      help: { type: 'boolean' },
    },
  });
  if (values.help) {
    process.stdout.write(usage);
    process.exit(0);
  }
  const nodes = values.nodes ?? (process.env.NODES || '1');
  if (!/^[1-9]\d?$/.test(nodes)) {
    throw new WeirError('INVALID_ARGUMENT', `Invalid number of nodes "${nodes}": expected 1 to 99`);
  }
  const routing = (values.routing ?? process.env.ROUTING) || undefined;
  if (routing !== undefined && routing !== 'direct' && routing !== 'overlay') {
    throw new WeirError('INVALID_ARGUMENT', `Invalid routing "${routing}": expected "direct" or "overlay"`);
  }
  const keep = values.keep ?? ['1', 'true', 'yes'].includes(process.env.KEEP ?? '');
  return { keep, nodeCount: Number(nodes), routing };
}

/** Makes room for a lab of this name. FAILED_PRECONDITION when there is one with pods that no demo made. */
async function removeEarlierDemo(lab: Lab): Promise<boolean> {
  const pods = await lab.pods().catch(() => []);
  const others = pods.filter(({ name }) => !shipNames.includes(name)).map(({ name }) => name);
  if (others.length > 0) {
    throw new WeirError(
      'FAILED_PRECONDITION',
      `Lab "${lab.name}" is up with pods of yours (${others.join(', ')}): remove it with \`./weir lab down\`, or use another: WEIR_LAB=demo make demo`,
    );
  }
  return lab.down();
}

async function demonstrate(): Promise<number> {
  const { keep, nodeCount, routing } = readOptions();
  const narrator = createNarrator(process.stdout);
  const lab = createLab({ name: process.env.WEIR_LAB ?? defaultLab });
  const weir = createWeirCommand({ root, lab: lab.name, defaultLab });
  const startedMs = performance.now();
  if (await removeEarlierDemo(lab)) narrator.note(`Lab "${lab.name}" of an earlier demo is removed`);
  const interrupt = (): void => {
    narrator.note('\nInterrupted: removing the lab');
    void lab.down().finally(() => process.exit(130));
  };
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  try {
    const deathstarCommand = ['node_modules/.bin/node', relative(root, import.meta.filename), 'deathstar'];
    await walkThrough({ lab, weir, narrator, nodeCount, routing, deathstarCommand });
  } finally {
    if (!keep) await lab.down();
  }
  const { checks, failures } = narrator.counts();
  const tookS = ((performance.now() - startedMs) / 1000).toFixed(1);
  narrator.note('');
  narrator.check(`${checks - failures} of ${checks} as they should be, in ${tookS} s`, failures === 0);
  if (keep) narrator.note(`\nThe lab is left up. What to try next:\n${whatNext(weir, lab)}`);
  return failures === 0 ? 0 : 1;
}

try {
  if (process.argv[2] === 'deathstar') await serveDeathstar(80);
  else process.exitCode = await demonstrate();
} catch (error) {
  const { message, code } = WeirError.from(error);
  process.stderr.write(`demo: ${message}\n`);
  process.exitCode = code === 'INVALID_ARGUMENT' ? 2 : 1;
}
