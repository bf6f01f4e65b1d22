// SPDX-License-Identifier: Apache-2.0
// Real processes, and a clock by hand, so that minutes of restarts take no time.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from '@jest/globals';
import { createManualClock, type ManualClock } from '@weir/clock';
import { createService, type Service } from './service.ts';

const directory = mkdtempSync(join(tmpdir(), 'weir-service-'));
const made: Service[] = [];
afterEach(() => Promise.all(made.splice(0).map((service) => service.stop('SIGKILL'))));
afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

let count = 0;
function make(script: string): { service: Service; clock: ManualClock; log: () => string } {
  const clock = createManualClock();
  const logFile = join(directory, `${count++}.log`);
  const service = createService({ name: 'node1/agent', command: ['sh', '-c', script], logFile }, clock);
  made.push(service);
  return { service, clock, log: () => readFileSync(logFile, 'utf8') };
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; !condition(); i++) {
    if (i === 500) throw new Error('nothing happened for 5 s');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const pidOf = (service: Service): number => {
  const state = service.state();
  return 'pid' in state ? state.pid : 0;
};

describe('Service', () => {
  it('runs its command, and keeps its output', async () => {
    const { service, log } = make('echo out; echo err >&2; exec sleep 1000');
    expect(service.state()).toEqual({ kind: 'stopped' });
    service.start();
    await until(() => log() === 'out\nerr\n');
    expect(service.state()).toMatchObject({ kind: 'running', pid: expect.any(Number) });
  });

  it('starts a process again that was killed, after 50 ms', async () => {
    const { service, clock } = make('exec sleep 1000');
    service.start();
    const first = pidOf(service);
    process.kill(first, 'SIGKILL');
    await until(() => service.state().kind === 'waiting');
    expect(service.lastExit()).toMatchObject({ status: null, signal: 'SIGKILL' });
    await clock.advance(49);
    expect(service.state()).toEqual({ kind: 'waiting' });
    await clock.advance(1);
    expect(service.state()).toMatchObject({ kind: 'running' });
    expect(pidOf(service)).not.toBe(first);
    expect(service.restarts()).toBe(1);
  });

  it('waits longer each time a process ends at once, 2 s at most, and forgets it after 10 healthy seconds', async () => {
    const { service, clock } = make('exec sleep 1000');
    const killAndMeasure = async (): Promise<number> => {
      process.kill(pidOf(service), 'SIGKILL');
      await until(() => service.state().kind === 'waiting');
      for (let waitedMs = 0; ; waitedMs += 10) {
        if (service.state().kind === 'running') return waitedMs;
        await clock.advance(10);
      }
    };
    service.start();
    const delays: number[] = [];
    for (let i = 0; i < 8; i++) delays.push(await killAndMeasure());
    expect(delays).toEqual([50, 100, 200, 400, 800, 1600, 2000, 2000]);
    await clock.advance(10_000);
    expect(await killAndMeasure()).toBe(50);
  });

  it('keeps a process down that was stopped, until it is started', async () => {
    const { service, clock } = make('exec sleep 1000');
    service.start();
    await service.stop('SIGTERM');
    expect(service.state()).toEqual({ kind: 'stopped' });
    await clock.advance(60_000);
    expect(service.state()).toEqual({ kind: 'stopped' });
    expect(service.restarts()).toBe(0);
    service.start();
    expect(service.state()).toMatchObject({ kind: 'running' });
  });

  it('kills a process that does not end on request within 5 s', async () => {
    const { service, clock, log } = make('trap "" TERM; echo ready; while :; do sleep 0.1; done');
    service.start();
    await until(() => log() === 'ready\n');
    const stopped = service.stop('SIGTERM');
    expect(service.state()).toMatchObject({ kind: 'stopping' });
    await clock.advance(5_000);
    await stopped;
    expect(service.lastExit()).toMatchObject({ signal: 'SIGKILL' });
  });

  it('can be stopped in the pause before a restart', async () => {
    const { service, clock } = make('exit 1');
    service.start();
    await until(() => service.state().kind === 'waiting');
    await service.stop('SIGTERM');
    await clock.advance(60_000);
    expect(service.state()).toEqual({ kind: 'stopped' });
    expect(service.lastExit()).toMatchObject({ status: 1 });
  });
});
