// SPDX-License-Identifier: Apache-2.0
// Two identity-allocators on one etcd: how long an agent waits for a number of new labels when its allocator is killed, beside the
// same with an allocator that lives.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { WeirError } from '@weir/errors';
import { createIdentityClient, type IdentityClient } from '@weir/identity-client';
import { parseLabelSet } from '@weir/model';
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
  readonly replicas: readonly Replica[];
}

let labelSets = 0;
/** How long a label set that nobody has ever seen waits for its number. */
async function allocateMs({ client }: Stage): Promise<number> {
  const fromMs = performance.now();
  await client.allocate(parseLabelSet([`k8s:app=never-seen-${++labelSets}`]));
  return performance.now() - fromMs;
}

const isConnected = ({ client }: Stage): boolean => client.status().connection.kind === 'connected';

/** The agent goes from one to the other each time its own one dies; both are there again before the next time. */
async function measure(stage: Stage, { runs, signal, say }: BenchSettings): Promise<Figure[]> {
  const [ours, alive]: [number[], number[]] = [[], []];
  for (let index = 0; index < runs * 2; index += 1) {
    signal.throwIfAborted();
    while (!isConnected(stage)) await sleep(10);
    await sleep(settledMs);
    alive.push(await allocateMs(stage));
    const replica = stage.replicas[index % stage.replicas.length] as Replica;
    // Killed while the question is on its way to be asked.
    const dying = replica.kill();
    ours.push(await allocateMs(stage));
    await dying;
    await replica.start();
    say(`  death ${index + 1} of ${runs * 2}`);
  }
  return [
    {
      ...{ name: 'new labels have a number, an allocator dies', unit: 'ms', better: 'lower', ours },
      baseline: { name: 'nobody dies', values: alive },
      target: { kind: 'value', value: 1_000 },
    },
  ];
}

async function withStage(directory: string, server: StoreServer, settings: BenchSettings): Promise<Figure[]> {
  const replicas = names.map((name) => createReplica(join(directory, name), server.endpoint));
  const address = names.map((name) => `unix:${join(directory, name)}/identity.sock`).join(',');
  const cachePath = join(directory, 'identities.json');
  // The first one first, as the first death is its.
  const client = createIdentityClient({ address, node: 'bench', log, cachePath, random: () => 0, events: {} });
  try {
    for (const replica of replicas) await replica.start();
    await client.start();
    return await measure({ client, replicas }, settings);
  } finally {
    await client.stop();
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
      await settings.step('two allocators, of which one dies', () => withStage(directory, server, settings));
    } finally {
      await server.destroy();
      await rm(directory, { recursive: true, force: true });
    }
  },
};
