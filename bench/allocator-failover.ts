// SPDX-License-Identifier: Apache-2.0
// Two identity-allocators on one etcd: how long an agent waits for a number of new labels when its allocator is killed or hangs, and
// when it dies also until the agent hears of another node's identity, beside the same with an allocator that is well.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { WeirError } from '@weir/errors';
import { createIdentityClient, type IdentityClient } from '@weir/identity-client';
import { type LabelSet, parseLabelSet } from '@weir/model';
import { etcd, type StoreServer } from '@weir/shared-log-testing';
import { createLogger } from '@weir/telemetry';
import type { BenchPart, BenchSettings, Figure } from './lib/index.ts';

const log = createLogger({ service: 'bench', level: 'silent' });
const program = fileURLToPath(new URL('../dist/identity-allocator.mjs', import.meta.url));
const names = ['a', 'b'] as const;
const settledMs = 500;

/** An allocator that can be killed and started again. */
interface Replica {
  start(): Promise<void>;
  kill(): Promise<void>;
  /** Stops it where it is: its connections stay, and nothing answers. */
  hang(): void;
  wake(): void;
}

function createReplica(directory: string, endpoint: string): Replica {
  let child: ChildProcess | undefined;
  return {
    async start() {
      const store = ['--store', 'etcd', '--store-endpoint', endpoint];
      const args = [program, '--run-dir', directory, '--state-dir', directory, ...store];
      const started = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] });
      child = started;
      await new Promise<void>((resolve, reject) => {
        started.stderr.on('data', (chunk: Buffer) => chunk.includes('"Serving"') && resolve());
        started.once('exit', () => reject(new WeirError('UNAVAILABLE', 'The identity-allocator does not start')));
      });
    },
    hang: () => void child?.kill('SIGSTOP'),
    wake: () => void child?.kill('SIGCONT'),
    async kill() {
      const dying = child;
      child = undefined;
      if (dying === undefined) return;
      const ended = once(dying, 'exit');
      dying.kill('SIGKILL');
      await ended;
    },
  };
}

interface Stage {
  readonly client: IdentityClient;
  /** An agent at each replica: whose labels are heard of, whichever replica hangs. */
  readonly others: readonly IdentityClient[];
  readonly replicas: readonly Replica[];
  readonly heard: Map<string, () => void>;
}

let labelSets = 0;
const newLabels = (): LabelSet => parseLabelSet([`k8s:app=never-seen-${++labelSets}`]);

/** How long a label set that nobody has ever seen waits for its number. */
async function allocateMs({ client }: Stage): Promise<number> {
  const fromMs = performance.now();
  await client.allocate(newLabels());
  return performance.now() - fromMs;
}

/** How long it takes until the agent hears of another one's new label set. */
async function hearMs({ others, heard }: Stage, by: number): Promise<number> {
  const labels = newLabels();
  const fromMs = performance.now();
  const told = new Promise<void>((resolve) => heard.set(labels.key, resolve));
  await others[by]?.allocate(labels);
  await told;
  return performance.now() - fromMs;
}

/** The agent goes from one to the other each time its own one fails; both are there again before the next time. */
async function measureFailures(stage: Stage, how: 'dies' | 'hangs', settings: BenchSettings): Promise<Figure[]> {
  const [asked, askedWell, told, toldWell]: [number[], number[], number[], number[]] = [[], [], [], []];
  const { length: count } = stage.replicas;
  for (let index = 0; index < settings.runs * count; index += 1) {
    settings.signal.throwIfAborted();
    await sleep(settledMs);
    askedWell.push(await allocateMs(stage));
    if (how === 'dies') toldWell.push(await hearMs(stage, (index + 1) % count));
    const replica = stage.replicas[index % count] as Replica;
    // While the question and the news are on their way.
    const failing = how === 'dies' ? replica.kill() : replica.hang();
    const news = how === 'dies' ? [hearMs(stage, (index + 1) % count)] : [];
    asked.push(await allocateMs(stage));
    told.push(...(await Promise.all(news)));
    await failing;
    await (how === 'dies' ? replica.start() : replica.wake());
    settings.say(`  ${index + 1} of ${settings.runs * count}`);
  }
  const common = { unit: 'ms', better: 'lower', target: { kind: 'value', value: 1_000 } } as const;
  const baseline = (values: readonly number[]) => ({ name: 'all are well', values });
  const name = `new labels have a number, an allocator ${how}`;
  const numbers: Figure = { ...common, name, ours: asked, baseline: baseline(askedWell) };
  // A stream does not notice that its server hangs before a ping is lost.
  if (how === 'hangs') return [numbers];
  const news = {
    name: `another node's labels are known, an allocator ${how}`,
    ours: told,
    baseline: baseline(toldWell),
  };
  return [numbers, { ...common, ...news }];
}

async function withStage(
  directory: string,
  server: StoreServer,
  measure: (stage: Stage) => Promise<Figure[]>,
): Promise<Figure[]> {
  const replicas = names.map((name) => createReplica(join(directory, name), server.endpoint));
  const addresses = names.map((name) => `unix:${join(directory, name)}/identity.sock`);
  const heard = new Map<string, () => void>();
  const events = { onUpsert: ({ labels }: { readonly labels: LabelSet }) => heard.get(labels.key)?.() };
  const connect = (node: string, at: readonly string[], more: object = {}): IdentityClient =>
    createIdentityClient({
      ...{ address: at.join(','), node, log, cachePath: join(directory, `${node}.json`), random: () => 0, ...more },
    });
  // The first replica first, as the first failure is its.
  const client = connect('bench', addresses, { events });
  const others = addresses.map((address, index) => connect(`other-${index}`, [address]));
  try {
    for (const replica of replicas) await replica.start();
    for (const each of [client, ...others]) await each.start();
    return await measure({ client, others, replicas, heard });
  } finally {
    for (const each of [client, ...others]) await each.stop();
    for (const replica of replicas) await replica.kill();
  }
}

export const part: BenchPart = {
  name: 'allocator-failover',
  async run(settings) {
    if (etcd.skipReason !== undefined) return settings.say(`  left out: ${etcd.skipReason}`);
    const directory = await mkdtemp(join(tmpdir(), 'weir-bench-failover-'));
    const server = await etcd.create();
    try {
      for (const how of ['dies', 'hangs'] as const) {
        await settings.step(`two allocators, of which one ${how}`, () =>
          withStage(directory, server, (stage) => measureFailures(stage, how, settings)),
        );
      }
    } finally {
      await server.destroy();
      await rm(directory, { recursive: true, force: true });
    }
  },
};
