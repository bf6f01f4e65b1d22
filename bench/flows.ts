// SPDX-License-Identifier: Apache-2.0
// What watching costs: forwarding with every packet told and with the usual aggregation against next to none, half a million
// events a second for a minute, and a selective question to a full ring.
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { openPinnedMap } from '@weir/bpf-loader-node';
import { eventBudget, mapSpecs } from '@weir/datapath-layout';
import { WeirError } from '@weir/errors';
import { type Lab, netnsPath, type Pod } from '@weir/lab';
import { ObserverDefinition } from '@weir/proto';
import { createRpcClient, type RpcClient } from '@weir/rpc';
import { withLab } from './lib/bench-lab.ts';
import type { FloodResult } from './lib/event-flood.ts';
import { type BenchPart, type BenchSettings, type Figure, interleaved, quantile } from './lib/index.ts';
import { measurePath, type PathTest } from './lib/measure-path.ts';

type Observer = RpcClient<typeof ObserverDefinition>;
type Aggregation = 'none' | 'medium' | 'maximum';

// A minute at the usual duration of a run, which is a second.
const floodDurations = 60;
const floodRate = 550_000;
const fillSeconds = 1;
const questions = 300;
// Nobody calls this port, so that the whole ring is looked at.
const selective = { whitelist: [{ destinationPort: ['4'], protocol: ['tcp'] }] };
const settleMs = 50;

/** The node, its two pods, and who asks it for flows. */
interface Scene {
  readonly lab: Lab;
  readonly pods: { readonly client: Pod; readonly server: Pod };
  readonly flows: Observer;
}

async function aggregate({ lab, pods }: Scene, aggregation: Aggregation): Promise<void> {
  const agent = lab.agent();
  try {
    for (const { namespace, name } of Object.values(pods)) {
      await agent.patchEndpointConfig({ endpoint: { reference: `${namespace}/${name}` }, aggregation });
    }
  } finally {
    agent.close();
  }
}

async function flood({ lab, pods }: Scene, { seconds, rate }: { readonly seconds: number; readonly rate: number }) {
  const agent = lab.agent();
  const { endpoint } = await agent.getEndpoint({ endpoint: { reference: `default/${pods.client.name}` } });
  agent.close();
  const place = [lab.paths.node('node1').bpfRoot, netnsPath(`${lab.name}-node1`), String(endpoint?.hostIfindex)];
  const args = [...place, endpoint?.mac ?? '', endpoint?.ipv4 ?? '', String(seconds), String(rate)];
  const program = join(import.meta.dirname, 'lib/event-flood.ts');
  const { stdout } = await promisify(execFile)(process.execPath, [program, ...args]);
  return JSON.parse(stdout) as FloodResult;
}

/** Events that the kernel could not hand over since it was started. */
function lostEvents({ lab }: Scene): number {
  using map = openPinnedMap(join(lab.paths.node('node1').bpfRoot, 'maps', mapSpecs.eventBudget.name));
  const bytes = map.lookup(new Uint8Array(4)) ?? new Uint8Array();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let lost = 0;
  for (let offset = 0; offset < bytes.byteLength; offset += eventBudget.size) {
    lost += eventBudget.readLostRateLimitedNumber(view, offset) + eventBudget.readLostRingFullNumber(view, offset);
  }
  return lost;
}

const seenFlows = async ({ flows }: Scene): Promise<number> => (await flows.serverStatus({})).seenFlows;

/** What has been seen, when nothing has been added for a while. */
async function settledFlows(scene: Scene): Promise<number> {
  for (let before = -1; ;) {
    const now = await seenFlows(scene);
    if (now === before) return now;
    before = now;
    await sleep(settleMs);
  }
}

async function agentPid({ lab }: Scene): Promise<number> {
  const state = (await lab.services()).find(({ name }) => name === 'node1/agent')?.state;
  if (state?.kind !== 'running') throw new WeirError('FAILED_PRECONDITION', 'The agent does not run');
  return state.pid;
}
const residentMb = (pid: number): number =>
  (Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1_024) / 1e6;

async function measureFlood(scene: Scene, { durationMs }: BenchSettings): Promise<Figure[]> {
  await aggregate(scene, 'none');
  // Until its buffers have the size that they need.
  await flood(scene, { seconds: 2, rate: floodRate });
  const pid = await agentPid(scene);
  const [seenBefore, lostBefore, residentBefore] = [await settledFlows(scene), lostEvents(scene), residentMb(pid)];
  const seconds = (durationMs / 1_000) * floodDurations;
  const { packets, seconds: took } = await flood(scene, { seconds, rate: floodRate });
  const seen = (await settledFlows(scene)) - seenBefore;
  const lost = lostEvents(scene) - lostBefore;
  const isSame = (await agentPid(scene)) === pid;
  const base = { better: 'lower' } as const;
  return [
    {
      ...{ name: 'events in the kernel', unit: '1/s', better: 'higher', ours: [packets / took] },
      target: { kind: 'value', value: 500_000 },
    },
    { ...base, name: 'of these seen by the agent', unit: '%', better: 'higher', ours: [(100 * seen) / packets] },
    {
      ...{ ...base, name: 'neither seen nor counted as lost', unit: 'events', ours: [Math.abs(packets - seen - lost)] },
      target: { kind: 'value', value: 0 },
    },
    {
      ...{ ...base, name: 'agent: resident memory after it', unit: 'MB', ours: [residentMb(pid)] },
      baseline: { name: 'before', values: [residentBefore] },
      target: { kind: 'ratio', value: 1.1 },
    },
    {
      ...{ ...base, name: 'agent: died of it', unit: 'times', ours: [isSame ? 0 : 1] },
      target: { kind: 'value', value: 0 },
    },
  ];
}

const paths: readonly (PathTest & { readonly name: string })[] = [
  { name: '1 stream', test: 'tcp_stream', family: 'ipv4', connections: 1 },
  { name: 'TCP_RR', test: 'tcp_rr', family: 'ipv4' },
];

async function measureForwarding(
  scene: Scene,
  spec: (typeof paths)[number],
  settings: BenchSettings,
): Promise<Figure[]> {
  const { durationMs } = settings;
  const withLevel = (aggregation: Aggregation) => async (): Promise<number> => {
    await aggregate(scene, aggregation);
    return measurePath({ ends: scene.pods, durationMs }, spec);
  };
  const { off, usual, full } = await interleaved({
    ...settings,
    variants: { off: withLevel('maximum'), usual: withLevel('medium'), full: withLevel('none') },
  });
  const unit = spec.test === 'tcp_stream' ? 'Gbit/s' : '1/s';
  const base = { unit, better: 'higher', baseline: { name: 'told nothing', values: off } } as const;
  const ratio = (value: number) => ({ kind: 'ratio', value }) as const;
  return [
    { ...base, name: `${spec.name}, usual aggregation`, ours: usual, target: ratio(0.97) },
    { ...base, name: `${spec.name}, every packet told`, ours: full, target: ratio(0.9) },
  ];
}

/** How long the answer to a selective question takes; the ring is full of flows that nobody asks for. */
async function measureQuestions(scene: Scene, ring: number): Promise<Figure[]> {
  await aggregate(scene, 'none');
  do await flood(scene, { seconds: fillSeconds, rate: floodRate });
  while ((await scene.flows.serverStatus({})).numFlows < ring);
  const times: number[] = [];
  for (let question = 0; question < questions; question++) {
    const beginMs = performance.now();
    for await (const { flow } of scene.flows.getFlows({ number: 20, ...selective })) {
      if (flow) throw new WeirError('INTERNAL', 'A flow was found that nobody has made');
    }
    times.push(performance.now() - beginMs);
  }
  const base = { unit: 'ms', better: 'lower' } as const;
  const of = `${ring.toLocaleString('en')} flows`;
  return [
    { ...base, name: `selective GetFlows over ${of}, p50`, ours: [quantile(times, 0.5)] },
    {
      ...{ ...base, name: `selective GetFlows over ${of}, p99`, ours: [quantile(times, 0.99)] },
      target: { kind: 'value', value: 20 },
    },
  ];
}

/** A node with a ring of some size, which may report as much as it can. */
const withScene = (ring: number, task: (scene: Scene) => Promise<void>): Promise<void> =>
  withLab(
    'benchflows',
    async (lab) => {
      const [client, server] = [await lab.addPod({ name: 'client' }), await lab.addPod({ name: 'server' })];
      const address = `unix:${lab.paths.node('node1').runDirectory}/hubble.sock`;
      const flows = createRpcClient(ObserverDefinition, { address, deadlineMs: 60_000 });
      await task({ lab, pods: { client, server }, flows }).finally(() => flows.close());
    },
    { agentArguments: ['--flow-events-max', '1000000', '--observer-flows', String(ring)] },
  );

const [smallRing, largeRing] = [4_096, 65_536];

export const part: BenchPart = {
  name: 'flows',
  async run(settings) {
    await withScene(smallRing, async (scene) => {
      for (const spec of paths) await settings.step(spec.name, () => measureForwarding(scene, spec, settings));
      await settings.step('half a million events a second', () => measureFlood(scene, settings));
      await settings.step('a small ring', () => measureQuestions(scene, smallRing));
    });
    await withScene(largeRing, (scene) => settings.step('a large ring', () => measureQuestions(scene, largeRing)));
  },
};
