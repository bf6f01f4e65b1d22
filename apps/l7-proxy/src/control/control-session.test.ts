// SPDX-License-Identifier: Apache-2.0
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { systemClock } from '@weir/clock';
import { createLogger } from '@weir/telemetry';
import { startFakeAgent, type FakeAgent } from '../testing/fake-agent.ts';
import { get, soon } from '../testing/messages.ts';
import { startProxy, type ProxyHarness } from '../testing/proxy-harness.ts';
import { startControlSession, type ControlSession } from './control-session.ts';

const rules = (id: number, path: string) => ({ id, http: [{ method: '', path, host: '' }] });
const everything = { version: 1, snapshot: true, upserted: [rules(1, '/ok'), rules(2, '/two')] };

let directory: string;
let address: string;
let agent: FakeAgent | undefined;
let session: ControlSession;
let proxy: ProxyHarness;
let logLines: string[];
let updates: number;

const startAgent = async (snapshot?: Parameters<typeof startFakeAgent>[1]): Promise<FakeAgent> => {
  agent = await startFakeAgent(address, snapshot);
  return agent;
};
const until = async (isSo: () => boolean): Promise<void> => {
  for (const deadline = Date.now() + 5_000; !isSo(); await soon(2))
    if (Date.now() > deadline) throw new Error('Too late');
};

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'weir-l7-proxy-'));
  address = `unix:${directory}/agent.sock`;
  proxy = await startProxy();
  logLines = [];
  updates = 0;
  const { accessLog, ruleSets } = proxy;
  session = startControlSession({
    address,
    hello: { node: 'n1', port: 12_345, pid: 42 },
    ruleSets,
    onUpdate: () => updates++,
    accessLog,
    clock: systemClock,
    log: createLogger({ service: 'test', level: 'debug', destination: { write: (line) => void logLines.push(line) } }),
  });
});
afterEach(async () => {
  await session.stop();
  await agent?.stop();
  await proxy.close();
  await rm(directory, { recursive: true });
});

describe('a control session', () => {
  it('begins with who we are', async () => {
    const { hello } = await startAgent();
    expect(await hello()).toMatchObject({ node: 'n1', port: 12_345, pid: 42 });
  });

  it('acknowledges an update when it is in force', async () => {
    const { send, acknowledged } = await startAgent(() => everything);
    await acknowledged(1);
    expect(proxy.ruleSets.specs()).toEqual(everything.upserted);
    await send({ version: 2, upserted: [rules(3, '/three')], deleted: [2] });
    await acknowledged(2);
    expect(proxy.ruleSets.specs().map(({ id }) => id)).toEqual([1, 3]);
    expect(updates).toBe(2);
  });

  it('takes rules about headers, and refuses everything by one that it does not understand', async () => {
    const { send, acknowledged } = await startAgent(() => everything);
    await acknowledged(1);
    const headers = [{ name: 'x-a', value: 'a', valuePresent: true }, { name: 'x-b' }]; // prettier-ignore
    const repair = { name: 'x-c', value: 'c', mismatch: 3 };
    await send({
      version: 2,
      upserted: [
        { id: 1, http: [{ path: '/n' }], httpByHeaders: [{ path: '/ok', headers, headerMatches: [repair] }] },
        { id: 2, httpByHeaders: [{ headerMatches: [{ ...repair, mismatch: 9 as never }] }] },
      ],
    });
    await acknowledged(2);
    const [first] = proxy.ruleSets.specs();
    expect(first?.http[1]).toEqual({
      ...{ method: '', path: '/ok', host: '' },
      headers: [{ name: 'x-a', value: 'a' }, { name: 'x-b' }],
      headerMatches: [{ ...repair, mismatch: 'DELETE' }],
    });
    expect(proxy.ruleSets.get(2)?.problem?.message).toContain('"9" is unknown');
  });

  it('brings a change to the next request of a running connection', async () => {
    const { send, acknowledged } = await startAgent(() => everything);
    await acknowledged(1);
    const client = await proxy.client();
    client.send(get('/new'));
    expect((await client.takeResponse()).status).toBe(403);
    await send({ version: 2, upserted: [rules(1, '/new')] });
    await acknowledged(2);
    client.send(get('/new'));
    const server = await proxy.server.accept();
    expect(await server.takeHead()).toBe(get('/new'));
  });

  it('reports calls while it runs, and those of a time without an agent when there is one again', async () => {
    const first = await startAgent(() => everything);
    await first.acknowledged(1);
    const client = await proxy.client();
    client.send(get('/one'));
    await client.takeResponse();
    expect((await first.accessLog()).calls).toMatchObject([{ path: '/one', status: 403 }]);
    await first.stop();
    await until(() => logLines.join('').includes('The agent is away'));
    client.send(get('/two'));
    await client.takeResponse();
    const second = await startAgent(() => everything);
    expect((await second.accessLog()).calls).toMatchObject([{ path: '/two', status: 403 }]);
  });

  it('keeps serving by the last rules while the agent is away, and follows it when it is back', async () => {
    const first = await startAgent(() => everything);
    await first.acknowledged(1);
    logLines.length = 0;
    await first.stop();
    const client = await proxy.client();
    client.send(get('/ok'));
    const server = await proxy.server.accept();
    expect(await server.takeHead()).toBe(get('/ok'));
    const second = await startAgent(() => ({ version: 1, snapshot: true, upserted: [rules(9, '')] }));
    await second.acknowledged(1);
    expect(proxy.ruleSets.specs().map(({ id }) => id)).toEqual([9]);
    await until(() => logLines.join('').includes('The agent is in control'));
    expect(logLines.filter((line) => line.includes('The agent is away'))).toHaveLength(1);
  });

  it('is back within a second of a restart', async () => {
    const first = await startAgent(() => everything);
    await first.acknowledged(1);
    await first.stop();
    await soon(700);
    const before = performance.now();
    await (await startAgent(() => everything)).acknowledged(1);
    expect(performance.now() - before).toBeLessThan(1_000);
  });

  it('applies a rule set that does not compile as one that refuses, says so, and goes on', async () => {
    const { acknowledged } = await startAgent(() => ({
      version: 1,
      snapshot: true,
      upserted: [rules(1, '['), rules(2, '/a')],
    }));
    await acknowledged(1);
    expect(proxy.ruleSets.get(1)?.problem?.code).toBe('INVALID_ARGUMENT');
    expect(logLines.join('')).toContain('Rule set cannot be applied and refuses every request');
  });

  it.each([
    ['that does not begin with a snapshot', [{ version: 1 }], 'begins the session and is no snapshot'],
    ['whose versions do not rise', [everything, { version: 1 }], 'Message 1 follows message 1, expected a rise'],
  ])('%s is ended, and its message not acknowledged', async (_what, messages, problem) => {
    const { send, hello } = await startAgent();
    await hello();
    const before = agent!.sessionCount;
    for (const message of messages) await send(message);
    await until(() => agent!.sessionCount > before);
    expect(logLines.join('')).toContain(problem);
    expect(agent!.received.filter(({ ack }) => ack !== undefined && ack !== null)).toHaveLength(messages.length - 1);
  });
});
