// SPDX-License-Identifier: Apache-2.0
// A monitor-relay before fifty nodes with a thousand flows a second each, read as `hubble observe -f` does: the processor time
// that it takes, how old flows are when they are read, and what is lost. The nodes are one process, with real rings and
// observers; the reader counts and looks at times.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { flow, google, type observer, ObserverDefinition } from '@weir/proto';
import { createRpcClient } from '@weir/rpc';
import protobuf from 'protobufjs/minimal.js';
import { type BenchPart, type BenchSettings, type Figure, quantile } from './lib/index.ts';

const nodeCount = 50;
const ratePerNode = 1_000;
const ticksPerSecond = 100;
const settleMs = 2_000;
const pollMs = 100;
// Ten seconds at the usual duration of a run, which is a second.
const durations = 10;
const fields = { flow: 1, lostEvents: 3, time: 1_001 };
const dist = join(import.meta.dirname, '../dist');

/** What a reader looks at of a response. */
interface Seen {
  readonly isFlow: boolean;
  readonly lost: number;
  readonly timeMs: number;
}

function look(bytes: Buffer): Seen {
  const reader = protobuf.Reader.create(bytes);
  let [isFlow, lost, timeMs] = [false, 0, 0];
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    const field = tag >>> 3;
    if (field === fields.time) {
      const { seconds, nanos } = google.protobuf.Timestamp.decode(reader, reader.uint32());
      timeMs = seconds * 1_000 + nanos / 1e6;
    } else if (field === fields.lostEvents) lost += flow.LostEvent.decode(reader, reader.uint32()).numEventsLost;
    else {
      isFlow ||= field === fields.flow;
      reader.skipType(tag & 7);
    }
  }
  return { isFlow, lost, timeMs };
}

const readerDefinition = {
  ...ObserverDefinition,
  getFlows: { ...ObserverDefinition.getFlows, responseDeserialize: look },
} as const;

/** Seconds of a processor that a process has used. */
function processorSeconds({ pid }: ChildProcess): number {
  const [user = 0, system = 0] = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ')
    .slice(11, 13)
    .map(Number);
  return (user + system) / ticksPerSecond;
}

/** Waits until the relay has a connection to every node: who reads before that is told of those that it has none to. */
async function connected(address: string, signal: AbortSignal): Promise<void> {
  const client = createRpcClient(ObserverDefinition, { address, waitForReady: true, deadlineMs: 60_000 });
  try {
    const isWhole = async (): Promise<boolean> =>
      (await client.serverStatus({})).numConnectedNodes?.value === nodeCount;
    while (!(await isWhole())) await sleep(pollMs, undefined, { signal });
  } finally {
    client.close();
  }
}

async function measure(
  { relay, address }: { readonly relay: ChildProcess; readonly address: string },
  { durationMs, signal }: BenchSettings,
  request: observer.GetFlowsRequest.$Properties,
) {
  const client = createRpcClient(readerDefinition, { address, waitForReady: true });
  const reading = new AbortController();
  const lags: number[] = [];
  let [flows, lost, isCounting] = [0, 0, false];
  const read = (async () => {
    for await (const seen of client.getFlows({ ...request, follow: true }, { signal: reading.signal })) {
      if (!isCounting) continue;
      lost += seen.lost;
      if (!seen.isFlow) continue;
      flows += 1;
      lags.push(Date.now() - seen.timeMs);
    }
  })().catch((error: unknown) => {
    if (!reading.signal.aborted) throw error;
  });
  try {
    await sleep(settleMs, undefined, { signal });
    isCounting = true;
    const [beginMs, beginS] = [performance.now(), processorSeconds(relay)];
    await sleep(durations * durationMs, undefined, { signal });
    isCounting = false;
    const seconds = (performance.now() - beginMs) / 1_000;
    return { flows: flows / seconds, lost: lost / seconds, cores: (processorSeconds(relay) - beginS) / seconds, lags };
  } finally {
    reading.abort();
    await read;
    client.close();
  }
}

async function measureRelay(settings: BenchSettings): Promise<Figure[]> {
  const directory = mkdtempSync(join(tmpdir(), 'weir-bench-relay-'));
  const address = `unix:${directory}/relay.sock`;
  const started: ChildProcess[] = [];
  const start = (program: string, args: readonly string[]): ChildProcess => {
    const child = spawn(process.execPath, [program, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
    started.push(child);
    return child;
  };
  try {
    const nodes = start(join(import.meta.dirname, 'lib/relay-nodes.ts'), [
      ...[directory, String(nodeCount), String(ratePerNode)],
    ]);
    await once(nodes.stdout ?? nodes, 'data');
    const relay = start(join(dist, 'monitor-relay.mjs'), [
      ...['--peer-service', `unix:${directory}/peers.sock`, '--listen', address, '--log-level', 'error'],
    ]);
    await connected(address, settings.signal);
    const all = await measure({ relay, address }, settings, {});
    const some = await measure({ relay, address }, settings, { whitelist: [{ sourcePort: ['40007'] }] });
    const base = { better: 'lower' } as const;
    const of = `${nodeCount} × ${ratePerNode.toLocaleString('en')} flows/s`;
    return [
      { name: `flows read, ${of}`, unit: '1/s', better: 'higher', ours: [all.flows] },
      { ...base, name: `flows that the reader was told it lost, ${of}`, unit: '1/s', ours: [all.lost] },
      {
        ...{ ...base, name: `relay: processors, ${of}`, unit: 'cores', ours: [all.cores] },
        target: { kind: 'value', value: 1 },
      },
      {
        ...{ ...base, name: `age of a flow when it is read, p99, ${of}`, unit: 'ms', ours: [quantile(all.lags, 0.99)] },
        target: { kind: 'value', value: 1_000 },
      },
      { ...base, name: 'relay: processors, a selective filter', unit: 'cores', ours: [some.cores] },
    ];
  } finally {
    for (const child of started.reverse()) {
      child.kill('SIGTERM');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    }
    rmSync(directory, { recursive: true });
  }
}

export const part: BenchPart = {
  name: 'relay',
  run: (settings) => settings.step('fifty nodes', () => measureRelay(settings)),
};
