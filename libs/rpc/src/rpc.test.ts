// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync, statSync, writeFileSync, existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { WeirError } from '@weir/errors';
import { HealthDefinition, IdentityAllocatorDefinition, ProxyControlDefinition, type weir } from '@weir/proto';
import {
  createRpcClient,
  createRpcServer,
  createStreamQueue,
  rpcService,
  type Handlers,
  type RpcClient,
  type RpcServer,
} from './index.ts';

type AllocatorHandlers = Handlers<typeof IdentityAllocatorDefinition>;
type WatchResponse = weir.identity.v1.WatchResponse.$Properties;

const refuse = (): never => {
  throw new WeirError('NOT_SUPPORTED', 'Not part of this test');
};
const noStream = async function* (): AsyncGenerator<never> {
  refuse();
};
const handlers: AllocatorHandlers = {
  allocate: refuse,
  release: refuse,
  renewLease: refuse,
  watch: noStream,
  listIdentities: refuse,
  getIdentity: refuse,
  collectGarbage: refuse,
};

let directory: string;
const cleanups: (() => unknown)[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'weir-rpc-'));
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  rmSync(directory, { recursive: true, force: true });
});

const socketAddress = (): string => `unix:${directory}/run/x.sock`;

const serve = async (
  changed: Partial<AllocatorHandlers>,
  options: Partial<Parameters<typeof createRpcServer>[0]> = {},
): Promise<RpcServer> => {
  const server = createRpcServer({
    services: [rpcService(IdentityAllocatorDefinition, { ...handlers, ...changed })],
    listen: [socketAddress()],
    ...options,
  });
  await server.start();
  cleanups.push(() => server.stop({ deadlineMs: 0 }));
  return server;
};
const connect = (
  options: Partial<Parameters<typeof createRpcClient>[1]> = {},
): RpcClient<typeof IdentityAllocatorDefinition> => {
  const client = createRpcClient(IdentityAllocatorDefinition, {
    address: socketAddress(),
    deadlineMs: 2000,
    ...options,
  });
  cleanups.push(() => client.close());
  return client;
};
const failure = async (promise: Promise<unknown>): Promise<WeirError> => {
  try {
    await promise;
  } catch (error) {
    expect(error).toBeInstanceOf(WeirError);
    return error as WeirError;
  }
  throw new Error('Expected a failure');
};
const collect = async <T>(items: AsyncIterable<T>): Promise<T[]> => {
  const collected: T[] = [];
  for await (const item of items) collected.push(item);
  return collected;
};
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe('unary calls', () => {
  it('carry request and response', async () => {
    await serve({ allocate: ({ labels }) => ({ identity: { id: 256, labels }, created: true }) });
    const { identity, created } = await connect().allocate({ node: 'n', labels: ['k8s:a=b'] });
    expect({ id: identity?.id, labels: identity?.labels, created }).toEqual({
      id: 256,
      labels: ['k8s:a=b'],
      created: true,
    });
  });

  it('bring a WeirError to the client with its code, message and details', async () => {
    await serve({
      allocate: () => {
        throw new WeirError('CORRUPT_STATE', 'Label "ü" is odd', { details: { field: 'labels', index: 3 } });
      },
    });
    const error = await failure(connect().allocate({}));
    expect(error).toMatchObject({
      code: 'CORRUPT_STATE',
      message: 'Label "ü" is odd',
      details: { field: 'labels', index: 3 },
    });
  });

  it('leave out details that are too large, and keep the code', async () => {
    await serve({
      allocate: () => {
        throw new WeirError('SYSTEM_CALL_FAILED', 'x'.repeat(50_000), { details: { log: 'y'.repeat(50_000) } });
      },
    });
    const error = await failure(connect().allocate({}));
    expect(error).toMatchObject({ code: 'SYSTEM_CALL_FAILED', details: { omitted: true } });
    expect(error.message).toHaveLength(1024);
  });

  it('log an unknown error with its stack and tell the client nothing of it', async () => {
    const lines: unknown[] = [];
    const log = { error: (fields: unknown, message: string) => lines.push({ fields, message }) };
    await serve(
      {
        allocate: () => {
          throw new TypeError('secret of the server');
        },
      },
      { log: log as never },
    );
    const error = await failure(connect().allocate({}));
    expect(error).toMatchObject({ code: 'INTERNAL' });
    expect(error.message).not.toContain('secret');
    expect(lines).toMatchObject([
      { message: 'Call failed unexpectedly', fields: { error: { message: 'secret of the server' } } },
    ]);
  });

  it('end with TIMEOUT after their deadline, and the handler is told', async () => {
    const aborted = Promise.withResolvers<undefined>();
    await serve({
      allocate: (_request, call) => {
        call.signal.addEventListener('abort', () => aborted.resolve(undefined));
        return new Promise(() => undefined);
      },
    });
    const error = await failure(connect({ deadlineMs: 50 }).allocate({}));
    expect(error).toMatchObject({ code: 'TIMEOUT', message: expect.stringContaining('within 50 ms') });
    await aborted.promise;
  });

  it('end with CANCELLED when their signal aborts', async () => {
    await serve({ allocate: () => new Promise(() => undefined) });
    const error = await failure(connect().allocate({}, { signal: AbortSignal.timeout(30) }));
    expect(error.code).toBe('CANCELLED');
  });

  it('refuse a message above the limit with RESOURCE_EXHAUSTED', async () => {
    await serve({ allocate: () => ({}) }, { messageBytesMax: 1000 });
    const error = await failure(connect().allocate({ labels: ['x'.repeat(2000)] }));
    expect(error.code).toBe('RESOURCE_EXHAUSTED');
  });

  it('fail with UNAVAILABLE naming the address when there is no server', async () => {
    const error = await failure(connect().allocate({}));
    expect(error).toMatchObject({ code: 'UNAVAILABLE', message: expect.stringContaining(socketAddress()) });
  });

  // The best of three: what is measured is the client's patience, not how busy this machine is.
  const bestOfThree = async (measure: () => Promise<number>): Promise<number> =>
    Math.min(await measure(), await measure(), await measure());

  it('wait for the server when told to, and reach it within 200 ms of its start', async () => {
    const startLate = async (): Promise<number> => {
      const client = connect({ waitForReady: true });
      const answer = client.allocate({});
      await sleep(400);
      const server = await serve({ allocate: () => ({ created: true }) });
      const readyMs = performance.now();
      await answer;
      const tookMs = performance.now() - readyMs;
      await server.stop();
      return tookMs;
    };
    expect(await bestOfThree(startLate)).toBeLessThan(200);
  });

  it('reach a restarted server within 200 ms of its return', async () => {
    let server = await serve({ allocate: () => ({ created: true }) });
    const client = connect({ waitForReady: true });
    await client.allocate({});
    const restart = async (): Promise<number> => {
      await server.stop();
      const answer = client.allocate({});
      await sleep(500);
      server = await serve({ allocate: () => ({ created: false }) });
      const readyMs = performance.now();
      await answer;
      return performance.now() - readyMs;
    };
    expect(await bestOfThree(restart)).toBeLessThan(200);
  });

  it('work over TCP on a loopback port that the kernel chose', async () => {
    const server = createRpcServer({
      services: [rpcService(IdentityAllocatorDefinition, { ...handlers, allocate: () => ({ created: true }) })],
      listen: ['127.0.0.1:0', '[::1]:0'],
    });
    const [v4, v6] = await server.start();
    cleanups.push(() => server.stop());
    for (const address of [v4!, v6!]) expect((await connect({ address }).allocate({})).created).toBe(true);
  });
});

describe('streams', () => {
  const count = async function* (
    made: { count: number },
    call: { signal: AbortSignal },
  ): AsyncGenerator<WatchResponse> {
    while (!call.signal.aborted) {
      made.count += 1;
      yield { revision: made.count, epoch: 'x'.repeat(1000) };
      // Lets the loop breathe, as a real source would.
      if (made.count % 100 === 0) await sleep(0);
    }
  };

  it('deliver in order and stop the handler when the client leaves the loop', async () => {
    const stopped = Promise.withResolvers<undefined>();
    const made = { count: 0 };
    await serve({
      async *watch(_request, call) {
        try {
          yield* count(made, call);
        } finally {
          stopped.resolve(undefined);
        }
      },
    });
    const seen: number[] = [];
    for await (const { revision } of connect().watch({})) {
      seen.push(revision);
      if (seen.length === 500) break;
    }
    expect(seen).toEqual(Array.from({ length: 500 }, (_, index) => index + 1));
    await stopped.promise;
  });

  it('stop taking messages from the handler while the client does not read', async () => {
    const made = { count: 0 };
    await serve({ watch: (_request, call) => count(made, call) });
    const stream = connect().watch({})[Symbol.asyncIterator]();
    await stream.next();
    await sleep(300);
    const settled = made.count;
    await sleep(200);
    expect(made.count).toBe(settled);
    expect(made.count).toBeLessThan(1000);
    await stream.return?.(undefined);
  });

  it('end with the error that the handler throws', async () => {
    await serve({
      async *watch() {
        yield { revision: 1 };
        throw new WeirError('FAILED_PRECONDITION', 'No more');
      },
    });
    const seen: number[] = [];
    const error = await failure(
      (async () => {
        for await (const { revision } of connect().watch({})) seen.push(revision);
      })(),
    );
    expect({ seen, code: error.code, message: error.message }).toEqual({
      seen: [1],
      code: 'FAILED_PRECONDITION',
      message: 'No more',
    });
  });

  it('end with UNAVAILABLE when the server stops, although the handler waits for an event', async () => {
    const server = await serve({
      watch: (_request, call) =>
        createStreamQueue<WatchResponse>({ itemsMax: 4, overflow: 'fail', signal: call.signal }),
    });
    const failed = failure(connect().watch({})[Symbol.asyncIterator]().next());
    await sleep(100);
    const startMs = performance.now();
    await server.stop({ deadlineMs: 2000 });
    expect(performance.now() - startMs).toBeLessThan(1000);
    expect((await failed).code).toBe('UNAVAILABLE');
  });

  it('go both ways, each side ending when it likes', async () => {
    const server = createRpcServer({
      services: [
        rpcService(ProxyControlDefinition, {
          async *session(messages) {
            let received = 0;
            for await (const message of messages) {
              received += message === undefined ? 0 : 1;
              yield {};
            }
            for (let extra = 0; extra < received; extra += 1) yield {};
          },
        }),
      ],
      listen: [socketAddress()],
    });
    await server.start();
    cleanups.push(() => server.stop());
    const client = createRpcClient(ProxyControlDefinition, { address: socketAddress() });
    cleanups.push(() => client.close());
    const three = async function* (): AsyncGenerator<object> {
      for (let sent = 0; sent < 3; sent += 1) yield {};
    };
    expect(await collect(client.session(three()))).toHaveLength(6);
  });
});

describe('createStreamQueue', () => {
  it.each([
    { overflow: 'drop-oldest', kept: [3, 4] },
    { overflow: 'drop-newest', kept: [1, 2] },
  ] as const)('keeps $kept of 1–4 with room for two and $overflow, and counts the loss', async ({ overflow, kept }) => {
    const queue = createStreamQueue<number>({ itemsMax: 2, overflow });
    for (const item of [1, 2, 3, 4]) queue.push(item);
    queue.end();
    expect(await collect(queue)).toEqual(kept);
    expect(queue.droppedCount).toBe(2);
  });

  it('delivers what it has and then fails when it overflows with "fail"', async () => {
    const queue = createStreamQueue<number>({ itemsMax: 2, overflow: 'fail' });
    expect([1, 2, 3, 4].map((item) => queue.push(item))).toEqual([true, true, false, false]);
    const seen: number[] = [];
    const error = await failure(
      (async () => {
        for await (const item of queue) seen.push(item);
      })(),
    );
    expect(seen).toEqual([1, 2]);
    expect(error.code).toBe('RESOURCE_EXHAUSTED');
  });

  it('keeps order over many more items than it holds at once', async () => {
    const queue = createStreamQueue<number>({ itemsMax: 8, overflow: 'fail' });
    const reading = collect(queue);
    for (let item = 0; item < 1000; item += 1) {
      queue.push(item);
      if (item % 5 === 0) await sleep(0);
    }
    queue.end();
    expect(await reading).toEqual(Array.from({ length: 1000 }, (_, item) => item));
  });
});

describe('unix sockets', () => {
  const modeOf = (path: string): number => statSync(path).mode & 0o777;

  it('are made with their directory and mode, and are gone after stop', async () => {
    const server = await serve({}, { socketMode: 0o600 });
    const path = `${directory}/run/x.sock`;
    expect(modeOf(path)).toBe(0o600);
    await server.stop();
    expect(existsSync(path)).toBe(false);
  });

  it('replace a socket on which nobody listens', async () => {
    const stale = createServer().listen(`${directory}/stale.sock`);
    await new Promise((resolve) => stale.once('listening', resolve));
    // What a killed process leaves: the file, without a listener.
    const { linkSync } = await import('node:fs');
    linkSync(`${directory}/stale.sock`, `${directory}/x.sock`);
    await new Promise((resolve) => stale.close(resolve));
    await serve({ allocate: () => ({ created: true }) }, { listen: [`unix:${directory}/x.sock`] });
    const client = connect({ address: `unix:${directory}/x.sock` });
    expect((await client.allocate({})).created).toBe(true);
  });

  it('refuse to push out another server, which goes on serving', async () => {
    await serve({ allocate: () => ({ created: true }) });
    const error = await failure(serve({}));
    expect(error).toMatchObject({ code: 'FAILED_PRECONDITION', message: expect.stringContaining('another process') });
    expect((await connect().allocate({})).created).toBe(true);
  });

  it('leave a file that is not a socket as it is', async () => {
    const path = `${directory}/file`;
    writeFileSync(path, 'precious');
    const error = await failure(serve({}, { listen: [`unix:${path}`] }));
    expect(error).toMatchObject({ code: 'FAILED_PRECONDITION', message: expect.stringContaining('not a socket') });
    expect(statSync(path).size).toBe(8);
  });
});

describe('listen addresses', () => {
  it.each([
    { address: 'nonsense', problem: 'is neither' },
    { address: 'unix:relative.sock', problem: 'absolute path' },
    { address: `unix:/${'x'.repeat(120)}`, problem: '121 bytes; the kernel takes 107' },
    { address: 'localhost:70000', problem: 'has port 70000' },
    { address: '[fe80]:1', problem: 'expected an IPv6 address' },
    { address: '0.0.0.0:4000', problem: 'plaintext between machines' },
  ])('refuse $address', ({ address, problem }) => {
    expect(() => createRpcServer({ services: [], listen: [address] })).toThrow(problem);
  });

  it('name the port that is taken', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => taken.once('listening', resolve));
    cleanups.push(() => new Promise((resolve) => taken.close(resolve)));
    const { port } = taken.address() as { port: number };
    const error = await failure(serve({}, { listen: [`127.0.0.1:${port}`] }));
    expect(error).toMatchObject({ code: 'FAILED_PRECONDITION', message: expect.stringContaining(`127.0.0.1:${port}`) });
  });
});

describe('health', () => {
  const name = 'weir.identity.v1.IdentityAllocator';
  const health = (): RpcClient<typeof HealthDefinition> => {
    const client = createRpcClient(HealthDefinition, { address: socketAddress() });
    cleanups.push(() => client.close());
    return client;
  };

  it('is NOT_SERVING until set, and NOT_FOUND for a stranger', async () => {
    const server = await serve({});
    const client = health();
    expect((await client.check({ service: name })).status).toBe(2);
    server.health.setAll('SERVING');
    expect((await client.check({ service: '' })).status).toBe(1);
    expect((await failure(client.check({ service: 'x' }))).code).toBe('NOT_FOUND');
  });

  it('streams every change to a watcher', async () => {
    const server = await serve({});
    const seen: number[] = [];
    for await (const { status } of health().watch({ service: name })) {
      seen.push(status);
      if (seen.length === 1) server.health.set(name, 'SERVING');
      if (seen.length === 2) break;
    }
    expect(seen).toEqual([2, 1]);
  });
});

describe('stop', () => {
  it('lets a running unary call finish, and cuts it after the deadline', async () => {
    const server = await serve({
      allocate: async () => {
        await sleep(200);
        return { created: true };
      },
      release: () => new Promise(() => undefined),
    });
    const client = connect();
    const finishing = client.allocate({});
    const hanging = failure(client.release({}));
    await sleep(50);
    await server.stop({ deadlineMs: 500 });
    expect((await finishing).created).toBe(true);
    expect(['UNAVAILABLE', 'CANCELLED']).toContain((await hanging).code);
  });
});
