// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { WeirError } from '@weir/errors';
import { HealthDefinition } from '@weir/proto';
import { createRpcClient, createRpcServer, rpcService, type RpcClient, type RpcServer } from './index.ts';

let directory: string;
let asked: string[];
let servers: Map<string, RpcServer>;
let client: RpcClient<typeof HealthDefinition> | undefined;

const addressOf = (name: string): string => `unix:${join(directory, name)}.sock`;

/** A server that says which one it is, or fails. */
async function serve(name: string, failure?: WeirError): Promise<void> {
  const answer = (): { status: number } => {
    asked.push(name);
    if (failure !== undefined) throw failure;
    return { status: 1 };
  };
  const service = rpcService(HealthDefinition, {
    check: answer,
    async *watch(_request, call) {
      yield answer();
      await new Promise((resolve) => call.signal.addEventListener('abort', resolve));
    },
  });
  // Under another name than that of the built-in health service.
  const renamed = Object.fromEntries(
    Object.entries(service.definition).map(([key, method]) => [key, { ...method, path: `/test.Health/${key}` }]),
  );
  const server = createRpcServer({
    services: [{ ...service, definition: renamed as never }],
    listen: [addressOf(name)],
  });
  await server.start();
  servers.set(name, server);
}

const connect = (...names: string[]): RpcClient<typeof HealthDefinition> => {
  const renamed = {
    check: { ...HealthDefinition.check, path: '/test.Health/check' },
    watch: { ...HealthDefinition.watch, path: '/test.Health/watch' },
  };
  client = createRpcClient(renamed as typeof HealthDefinition, { address: names.map(addressOf).join(',') });
  return client;
};
const stop = (name: string): Promise<void> => servers.get(name)!.stop({ deadlineMs: 0 });
const manyChecks = async (calls: RpcClient<typeof HealthDefinition>): Promise<void> => {
  for (let count = 0; count < 6; count += 1) await calls.check({ service: 'x' });
};

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'weir-failover-'));
  asked = [];
  servers = new Map();
});
afterEach(async () => {
  client?.close();
  await Promise.all([...servers.keys()].map(stop));
  rmSync(directory, { recursive: true, force: true });
});

describe('createRpcClient() with several addresses', () => {
  it('stays with one server as long as it answers, and takes the other one when it is gone', async () => {
    await Promise.all([serve('a'), serve('b')]);
    const calls = connect('a', 'b');
    await manyChecks(calls);
    const [first] = asked;
    expect(new Set(asked)).toEqual(new Set([first]));
    await stop(first!);
    await manyChecks(calls);
    expect(asked.slice(6)).toEqual(Array.from({ length: 6 }, () => (first === 'a' ? 'b' : 'a')));
  });

  it('goes to the next server when one says that it cannot, and fails when none can', async () => {
    const away = new WeirError('UNAVAILABLE', 'The store is away');
    await Promise.all([serve('a', away), serve('b')]);
    await manyChecks(connect('a', 'b'));
    expect(asked.filter((name) => name === 'b')).toHaveLength(6);
    await stop('b');
    await expect(client!.check({ service: 'x' })).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  it('hands on at once what no other server would answer differently', async () => {
    const refusal = new WeirError('INVALID_ARGUMENT', 'No');
    await Promise.all([serve('a', refusal), serve('b', refusal)]);
    await expect(connect('a', 'b').check({ service: 'x' })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(asked).toHaveLength(1);
  });

  it('begins the next stream at another server than the one that broke', async () => {
    await Promise.all([serve('a'), serve('b')]);
    const calls = connect('a', 'b');
    const stream = calls.watch({ service: 'x' })[Symbol.asyncIterator]();
    await stream.next();
    const [first] = asked;
    const broken = stream.next();
    await stop(first!);
    await expect(broken).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await calls.watch({ service: 'x' })[Symbol.asyncIterator]().next();
    expect(asked).toEqual([first, first === 'a' ? 'b' : 'a']);
  });
});
