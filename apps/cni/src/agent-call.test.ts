// SPDX-License-Identifier: Apache-2.0
// The plugin against a real HTTP server on a real unix socket.
import { chmodSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import {
  buildPrograms,
  callEnv,
  config,
  runPlugin,
  startAgent,
  temporaryDirectory,
  type AgentHandler,
  type TestAgent,
} from '../testing/plugin.ts';

const cleanups: (() => unknown)[] = [];

beforeAll(buildPrograms, 120_000);
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

async function agentThat(handler: AgentHandler): Promise<TestAgent> {
  const agent = await startAgent(handler);
  cleanups.push(agent.close);
  return agent;
}

function directory(): string {
  const path = temporaryDirectory();
  cleanups.push(() => {
    rmSync(path, { recursive: true, force: true });
  });
  return path;
}

/** Something that listens, and does with a connection whatever the test wants. */
async function listener(onConnection: (socket: Socket) => void): Promise<string> {
  const path = join(directory(), 'cni.sock');
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    onConnection(socket);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  cleanups.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return path;
}

const answer =
  (status: number, body: string): AgentHandler =>
  (_, response) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(body);
  };

const call = (command: string, socket: string, more: Record<string, unknown> = {}): ReturnType<typeof runPlugin> =>
  runPlugin({ env: callEnv(command), stdin: config({ socket, ...more }) });

describe('weir-cni ADD', () => {
  it('sends the call and the configuration as it is, and prints the result as it is', async () => {
    const result = '{"cniVersion":"1.1.0","ips":[{"address":"10.244.1.5/32"}]}\n';
    const agent = await agentThat(answer(200, result));
    const labels = [{ key: 'org', value: 'empire "Ω"\u0001' }];
    const netconf = { cniVersion: '1.1.0', name: 'weir', socket: agent.socket, args: { cni: { labels } }, n: 1e21 };
    const env = callEnv('ADD', { CNI_ARGS: 'K8S_POD_NAME=a"b\\c\té;X=' });
    expect(await runPlugin({ env, stdin: JSON.stringify(netconf) })).toEqual({
      status: 0,
      signal: null,
      stdout: result,
      stderr: '',
    });
    expect(agent.requests).toEqual([
      {
        command: 'ADD',
        containerId: '0a1b2c',
        netns: '/run/netns/x',
        ifName: 'eth0',
        args: 'K8S_POD_NAME=a"b\\c\té;X=',
        path: '/opt/cni/bin',
        config: netconf,
      },
    ]);
  });

  it('asks for POST /v1/cni with a JSON body', async () => {
    const seen: unknown[] = [];
    const agent = await agentThat((request, response) => {
      seen.push(request.method, request.url, request.headers['content-type'], request.httpVersion);
      response.end('{}');
    });
    await call('ADD', agent.socket);
    expect(seen).toEqual(['POST', '/v1/cni', 'application/json', '1.1']);
  });

  it('takes a large configuration and a large result, in chunks', async () => {
    const large = { cniVersion: '1.1.0', x: 'é'.repeat(400_000) };
    const agent = await agentThat((_, response) => {
      const text = JSON.stringify(large);
      for (let at = 0; at < text.length; at += 50_000) response.write(text.slice(at, at + 50_000));
      response.end();
    });
    const result = await call('ADD', agent.socket, { prevResult: 'y'.repeat(1_000_000) });
    expect(result.status).toBe(0);
    expect(JSON.parse(result.stdout)).toEqual(large);
    expect(agent.requests).toMatchObject([{ config: { prevResult: 'y'.repeat(1_000_000) } }]);
  });

  it('prints the error of the agent and fails', async () => {
    const error = '{"cniVersion":"1.1.0","code":7,"msg":"Invalid label"}';
    const agent = await agentThat(answer(400, error));
    expect(await call('ADD', agent.socket)).toMatchObject({ status: 1, stdout: error });
  });

  it.each([
    ['an error without a code', 500, '{"msg":"x"}'],
    ['an error that is not JSON', 502, '<html>'],
    ['an empty error', 404, ''],
    ['a result that is not JSON', 200, 'done'],
    ['no result', 200, ''],
    ['a result of more than 1 MiB', 200, `"${'x'.repeat(1024 * 1024 + 200_000)}"`],
  ])('answers with code 100 when the agent sends %s', async (_, status, body) => {
    const agent = await agentThat(answer(status, body));
    const result = await call('ADD', agent.socket);
    expect(result.status).toBe(1);
    expect(JSON.parse(result.stdout)).toMatchObject({ cniVersion: '1.1.0', code: 100 });
  });

  it('prints valid JSON even when the agent sends bytes that are not UTF-8', async () => {
    const agent = await agentThat((_, response) => {
      response.writeHead(500).end(Buffer.from([0xff, 0x22, 0x5c, 0x00, 0xc3]));
    });
    const result = await call('ADD', agent.socket);
    expect(JSON.parse(result.stdout)).toMatchObject({ code: 100, details: '\ufffd"\\' });
  });

  it.each(['ADD', 'CHECK', 'GC'])(
    '%s answers with code 11 in the version of the call when there is no agent',
    async (command) => {
      const cniVersion = command === 'GC' ? '1.1.0' : '0.4.0';
      const result = await call(command, join(directory(), 'cni.sock'), { cniVersion });
      expect(result.status).toBe(1);
      expect(JSON.parse(result.stdout)).toMatchObject({ cniVersion, code: 11 });
    },
  );

  it('answers with code 11 when the socket is a leftover that nobody listens on', async () => {
    const path = join(directory(), 'cni.sock');
    writeFileSync(path, '');
    expect(JSON.parse((await call('ADD', path)).stdout)).toMatchObject({ code: 11 });
  });

  it('answers with code 11 when the agent dies before it has answered', async () => {
    const socket = await listener((connection) => connection.once('data', () => connection.end('HTTP/1.1 200 OK\r\n')));
    const error = JSON.parse((await call('ADD', socket)).stdout) as { code: number; msg: string };
    expect(error.code).toBe(11);
    expect(error.msg).toContain('closed the connection before it had answered');
  });

  it('answers with code 11 when the agent takes longer than timeoutMs', async () => {
    const socket = await listener((connection) => connection.resume());
    const started = performance.now();
    const error = JSON.parse((await call('ADD', socket, { timeoutMs: 300 })).stdout) as { code: number; msg: string };
    expect(error).toMatchObject({ code: 11 });
    expect(error.msg).toContain('did not answer within 300 ms');
    expect(performance.now() - started).toBeGreaterThan(290);
    expect(performance.now() - started).toBeLessThan(5000);
  });

  it('lets WEIR_CNI_TIMEOUT_MS win over timeoutMs', async () => {
    const socket = await listener((connection) => connection.resume());
    const env = callEnv('ADD', { WEIR_CNI_TIMEOUT_MS: '100' });
    const result = await runPlugin({ env, stdin: config({ socket, timeoutMs: 60_000 }) });
    expect(JSON.parse(result.stdout)).toMatchObject({ code: 11 });
  });
});

describe('weir-cni STATUS', () => {
  it('succeeds without output when the agent is well', async () => {
    const agent = await agentThat(answer(200, ''));
    const result = await runPlugin({ env: { CNI_COMMAND: 'STATUS' }, stdin: config({ socket: agent.socket }) });
    expect(result).toMatchObject({ status: 0, stdout: '' });
    expect(agent.requests).toMatchObject([{ command: 'STATUS', containerId: '' }]);
  });

  it('answers with code 50, not available, when there is no agent', async () => {
    const result = await call('STATUS', join(directory(), 'cni.sock'));
    expect(JSON.parse(result.stdout)).toMatchObject({ code: 50 });
  });
});

describe('weir-cni DEL', () => {
  const notes = (socket: string): string[] => readdirSync(join(socket, '..', 'cni-deletions'));

  it('succeeds without output, and without a note, when the agent answers', async () => {
    const agent = await agentThat(answer(200, ''));
    expect(await call('DEL', agent.socket)).toMatchObject({ status: 0, stdout: '' });
    expect(() => notes(agent.socket)).toThrow('ENOENT');
  });

  it('leaves the request as a note when there is no agent, and succeeds', async () => {
    const socket = join(directory(), 'cni.sock');
    expect(await call('DEL', socket)).toEqual({ status: 0, signal: null, stdout: '', stderr: '' });
    expect(notes(socket)).toEqual(['0a1b2c@eth0.json']);
    const note: unknown = JSON.parse(readFileSync(join(socket, '..', 'cni-deletions/0a1b2c@eth0.json'), 'utf8'));
    expect(note).toMatchObject({ command: 'DEL', containerId: '0a1b2c', ifName: 'eth0', config: { socket } });
  });

  it('leaves a note when the agent dies before it has answered', async () => {
    const socket = await listener((connection) => connection.once('data', () => connection.destroy()));
    expect(await call('DEL', socket)).toMatchObject({ status: 0 });
    expect(notes(socket)).toEqual(['0a1b2c@eth0.json']);
  });

  it('replaces the note of an earlier DEL for the same interface', async () => {
    const socket = join(directory(), 'cni.sock');
    await call('DEL', socket);
    await call('DEL', socket, { prevResult: {} });
    expect(notes(socket)).toHaveLength(1);
    expect(readFileSync(join(socket, '..', 'cni-deletions/0a1b2c@eth0.json'), 'utf8')).toContain('prevResult');
  });

  it('names notes so that they cannot meet and cannot leave the directory', async () => {
    const socket = join(directory(), 'cni.sock');
    for (const [CNI_CONTAINERID, CNI_IFNAME] of [
      ['a', 'b@c'],
      ['a', 'b%40c'],
      ['a..', '...'],
      ['x'.repeat(200), '@@@@@@@@@@@@@@@'],
    ] as const)
      expect(
        await runPlugin({ env: callEnv('DEL', { CNI_CONTAINERID, CNI_IFNAME }), stdin: config({ socket }) }),
      ).toMatchObject({ status: 0 });
    expect(notes(socket).sort()).toEqual(
      ['a@b%40c.json', 'a@b%2540c.json', 'a..@....json', `${'x'.repeat(200)}@${'%40'.repeat(15)}.json`].sort(),
    );
  });

  it('makes the directory of the socket when the agent has never run', async () => {
    const socket = join(directory(), 'weir', 'cni.sock');
    expect(await call('DEL', socket)).toMatchObject({ status: 0 });
    expect(notes(socket)).toHaveLength(1);
  });

  it('answers with code 11 and both reasons when not even a note can be left', async () => {
    const socket = join(directory(), 'cni.sock');
    writeFileSync(join(socket, '..', 'cni-deletions'), 'not a directory');
    const result = await call('DEL', socket);
    expect(result.status).toBe(1);
    expect(JSON.parse(result.stdout)).toMatchObject({
      code: 11,
      msg: `The agent cannot be reached at "${socket}": No such file or directory`,
      details: expect.stringContaining('Not a directory'),
    });
  });

  it('leaves no note and answers with code 11 while the agent is only slow: it still works on the request', async () => {
    const socket = await listener((connection) => connection.resume());
    const result = await call('DEL', socket, { timeoutMs: 100 });
    expect(JSON.parse(result.stdout)).toMatchObject({ code: 11 });
    expect(() => notes(socket)).toThrow('ENOENT');
  });

  it('does not leave a half-written note when the directory cannot be written', async () => {
    const socket = join(directory(), 'cni.sock');
    const path = join(socket, '..', 'cni-deletions');
    mkdirSync(join(path, '0a1b2c@eth0.json'), { recursive: true });
    chmodSync(path, 0o700);
    expect(JSON.parse((await call('DEL', socket)).stdout)).toMatchObject({ code: 11 });
    expect(notes(socket)).toEqual(['0a1b2c@eth0.json']);
  });
});
