// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Flow } from '@weir/flow';
import { flow } from '@weir/proto';
import { createFlowLog, type FlowLog, type FlowLogOptions } from './flow-log.ts';

const { Verdict } = flow;
let directory: string, path: string;
let failures: unknown[];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'weir-flow-log-'));
  path = join(directory, 'flows.json');
  failures = [];
});
afterEach(() => rmSync(directory, { recursive: true }));

const start = (options: Partial<FlowLogOptions> = {}): FlowLog =>
  createFlowLog({
    ...{ path, node: 'n1', filters: {}, bytesMax: 1_000_000, filesMax: 3 },
    onFailed: (error) => failures.push(error),
    ...options,
  });
const flowOf = (podName: string, verdict = Verdict.FORWARDED): Flow => ({
  ...{ time: { seconds: 1_700_000_000 }, nodeName: 'n1', verdict, source: { namespace: 'ns', podName } },
});
const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1));
const podsIn = (file: string): string[] =>
  readFileSync(join(directory, file), 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => (JSON.parse(line) as { flow: { source: { pod_name: string } } }).flow.source.pod_name);

/** Whether a pod's line is in the newest file, which may be on its way to another name. */
function isWritten(pod: string): boolean {
  try {
    return podsIn('flows.json').includes(pod);
  } catch {
    return false;
  }
}

describe('createFlowLog()', () => {
  it('writes a line of JSON for each flow that is wanted, and for what was lost', async () => {
    const log = start({ filters: { whitelist: [{ verdict: [Verdict.DROPPED] }] } });
    log.observe(flowOf('passed'));
    log.observe(flowOf('dropped', Verdict.DROPPED));
    log.lost({ source: flow.LostEventSource.HUBBLE_RING_BUFFER, numEventsLost: 3 });
    await log.close();
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line) as object)).toMatchObject([
      { flow: { verdict: 'DROPPED', source: { pod_name: 'dropped' } }, node_name: 'n1', time: '2023-11-14T22:13:20Z' },
      { lost_events: { source: 'HUBBLE_RING_BUFFER', num_events_lost: '3' }, node_name: 'n1' },
    ]);
  });

  it('begins another file when one is full, and keeps so many', async () => {
    const log = start({ bytesMax: 200 });
    for (let number = 1; number <= 5; number++) {
      log.observe(flowOf(`pod-${number}`));
      // Lines that come together are written together.
      while (!isWritten(`pod-${number}`)) await pause();
    }
    await log.close();
    expect(readdirSync(directory).toSorted()).toEqual(['flows.json', 'flows.json.1', 'flows.json.2']);
    expect(podsIn('flows.json')).toEqual(['pod-5']);
    expect(podsIn('flows.json.2')).toEqual(['pod-3']);
  });

  it('goes on with the file that it finds', async () => {
    for (const pod of ['first', 'second']) {
      const log = start();
      log.observe(flowOf(pod));
      await log.close();
    }
    expect(podsIn('flows.json')).toEqual(['first', 'second']);
  });

  it('counts what it cannot write, says so once, and goes on when it can', async () => {
    mkdirSync(path);
    const log = start();
    for (const pod of ['a', 'b']) {
      log.observe(flowOf(pod));
      while (log.lostLines === (pod === 'a' ? 0 : 1)) await pause();
    }
    rmSync(path, { recursive: true });
    log.observe(flowOf('c'));
    await log.close();
    expect([log.lostLines, failures.length, podsIn('flows.json')]).toEqual([2, 1, ['c']]);
  });
});
