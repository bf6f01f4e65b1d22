// SPDX-License-Identifier: Apache-2.0
import { RE2JS } from 're2js';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { createManualClock, type ManualClock } from '@weir/clock';
import type { weir } from '@weir/proto';
import { createStreamQueue, type StreamQueue } from '@weir/rpc';
import { silent } from '../testing/test-agent.ts';
import { createProxyControl, type ProxyControl } from './proxy-control.ts';
import type { RuleSetTable } from './proxy-session.ts';

type AgentMessage = weir.proxy.v1.IAgentMessage;

let clock: ManualClock;
let table: Map<number, RuleSetTable extends ReadonlyMap<number, infer Rules> ? Rules : never>;
let logs: weir.proxy.v1.IAccessLog[];
let control: ProxyControl;
beforeEach(() => {
  clock = createManualClock();
  table = new Map([[7, [{ method: 'GET' }]]]);
  logs = [];
  const onAccessLog = (log: weir.proxy.v1.IAccessLog): void => void logs.push(log);
  control = createProxyControl({ ruleSets: () => table, onAccessLog, clock, logger: silent });
});

interface Proxy {
  readonly requests: StreamQueue<weir.proxy.v1.ProxyMessage>;
  next(): Promise<AgentMessage | undefined>;
  send(message: object): Promise<void>;
}

/** A proxy that connects. */
function connect(): Proxy {
  const requests = createStreamQueue<weir.proxy.v1.ProxyMessage>({ itemsMax: 10, overflow: 'fail' });
  const { session } = control.service.handlers as {
    session: (messages: AsyncIterable<object>, call: { signal: AbortSignal }) => AsyncIterable<AgentMessage>;
  };
  const messages = session(requests, { signal: new AbortController().signal })[Symbol.asyncIterator]();
  return {
    requests,
    next: async () => (await messages.next()).value,
    async send(message) {
      requests.push(message as weir.proxy.v1.ProxyMessage);
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

const ack = (version: number) => ({ message: 'ack', ack: { version } });
const isSettled = async (promise: Promise<unknown>): Promise<boolean> => {
  const pending = Symbol('pending');
  const turn = new Promise((resolve) => setImmediate(() => resolve(pending)));
  return (await Promise.race([promise, turn])) !== pending;
};

describe('createProxyControl()', () => {
  it('sends a proxy everything first, and then what is new and gone', async () => {
    const proxy = connect();
    expect(await proxy.next()).toEqual({
      ...{ version: 1, snapshot: true, deleted: [] },
      upserted: [{ id: 7, http: [{ method: 'GET', path: '', host: '' }] }],
    });
    await proxy.send(ack(1));
    table = new Map([[8, [{ path: '/x' }]]]);
    const published = control.publish();
    expect(await proxy.next()).toEqual({
      ...{ version: 2, snapshot: false, deleted: [7] },
      upserted: [{ id: 8, http: [{ method: '', path: '/x', host: '' }] }],
    });
    expect(await isSettled(published)).toBe(false);
    await proxy.send(ack(2));
    await published;
  });

  it('keeps rules about headers apart, with something that nothing fits where there are no others', async () => {
    const byHeaders = { headers: [{ name: 'a' }, { name: 'b', value: 'x' }] };
    const repair = { name: 'c', value: 'y', mismatch: 'REPLACE' as const };
    table = new Map([[8, [byHeaders, { path: '/x', headerMatches: [repair] }]], [9, [{}, byHeaders]]]); // prettier-ignore
    const { upserted } = (await connect().next())!;
    const [first, second] = upserted!;
    expect(first!.http).toHaveLength(1);
    expect(RE2JS.matches(first!.http![0]!.method!, 'GET')).toBe(false);
    const none = { method: '', path: '', host: '', headerMatches: [] };
    const conditions = [{ name: 'a', value: '', valuePresent: false }, { name: 'b', value: 'x', valuePresent: true }]; // prettier-ignore
    expect(first!.httpByHeaders).toEqual([
      { ...none, headers: conditions },
      { ...none, path: '/x', headers: [], headerMatches: [{ ...repair, mismatch: 4 }] },
    ]);
    expect(second).toMatchObject({
      http: [{ method: '', path: '', host: '' }],
      httpByHeaders: [{ headers: conditions }],
    });
  });

  it('has nothing to wait for without a proxy, and without a change', async () => {
    await control.publish();
    const proxy = connect();
    await proxy.next();
    await proxy.send(ack(1));
    await control.publish();
  });

  it('waits a second for a proxy that does not answer, and no longer', async () => {
    connect();
    table.set(9, []);
    const published = control.publish();
    await clock.advance(999);
    expect(await isSettled(published)).toBe(false);
    await clock.advance(1);
    expect(await isSettled(published)).toBe(true);
    expect(clock.pendingCount).toBe(0);
  });

  it('does not wait for a proxy that goes away', async () => {
    const proxy = connect();
    table.set(9, []);
    const published = control.publish();
    proxy.requests.end();
    await published;
    expect(control.connected).toBeUndefined();
  });

  it('knows who is connected, and hands on its access log', async () => {
    const proxy = connect();
    await proxy.send({ message: 'hello', hello: { pid: 42, port: 10001 } });
    await proxy.send({ message: 'accessLog', accessLog: { calls: [], lost: 5 } });
    expect([control.connected, logs]).toEqual([{ pid: 42, port: 10001 }, [{ calls: [], lost: 5 }]]);
  });

  it('lets a second proxy take the place of the first, whose end then changes nothing', async () => {
    const first = connect();
    await first.next();
    const second = connect();
    expect(await first.next()).toBeUndefined();
    expect(await second.next()).toMatchObject({ snapshot: true });
    await second.send({ message: 'hello', hello: { pid: 2, port: 1 } });
    first.requests.end();
    await new Promise((resolve) => setImmediate(resolve));
    expect(control.connected).toEqual({ pid: 2, port: 1 });
  });
});
