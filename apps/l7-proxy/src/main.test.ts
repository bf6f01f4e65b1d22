// SPDX-License-Identifier: Apache-2.0
// The proxy as a process, on ordinary sockets, with a real client and a real server where the machine has them.
import { execFile, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { startFakeAgent } from './testing/fake-agent.ts';
import { get, ok, soon } from './testing/messages.ts';
import { spawnProxy, type ProxyProcess } from './testing/proxy-process.ts';
import { dial, startRawServer } from './testing/raw-peer.ts';

const run = promisify(execFile);
const missing = ['curl', 'nginx'].filter((name) => spawnSync(name, ['-V']).error !== undefined);

let directory: string;
let proxy: ProxyProcess | undefined;
const cleanups: (() => unknown)[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'weir-l7-proxy-'));
});
afterEach(async () => {
  proxy?.child.kill('SIGKILL');
  await proxy?.exited();
  for (const cleanup of cleanups.splice(0)) await cleanup();
  await rm(directory, { recursive: true });
});

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
};

/** Starts the proxy in front of `upstreamPort`; rule set 1 allows GET below /ok. */
const startStatic = async (upstreamPort: number, ...args: string[]): Promise<number> => {
  const port = await freePort();
  const ruleSets = [{ id: 1, http: [{ method: 'GET|HEAD', path: '/ok.*', host: '' }] }];
  const content = { listen: `127.0.0.1:${port}`, upstream: `127.0.0.1:${upstreamPort}`, ingressRuleSet: 1, ruleSets };
  await writeFile(join(directory, 'static.json'), JSON.stringify(content));
  proxy = spawnProxy(['--static', join(directory, 'static.json'), '--state-dir', directory, ...args]);
  await proxy.logged('"Serving"');
  return port;
};

const startNginx = async (): Promise<number> => {
  const port = await freePort();
  const path = join(directory, 'nginx.conf');
  await writeFile(join(directory, 'big'), Buffer.alloc(20_000_000, 'x'));
  await writeFile(
    path,
    `daemon off; master_process off; pid ${directory}/nginx.pid; error_log ${directory}/error.log;
     events {}
     http { access_log off; client_body_temp_path ${directory}; server {
       listen 127.0.0.1:${port};
       location /ok { return 200 "hello\\n"; }
       location /ok/big { alias ${directory}/big; }
     } }`,
  );
  const nginx: ChildProcess = spawn('nginx', ['-c', path, '-e', `${directory}/error.log`], { stdio: 'ignore' });
  cleanups.push(() => void nginx.kill());
  for (let attempt = 0; attempt < 100; attempt++) {
    const reached = await dial(port).then(
      (peer) => peer.socket.destroy(),
      () => undefined,
    );
    if (reached !== undefined) return port;
    await soon(20);
  }
  throw new Error('nginx does not listen');
};

(missing.length === 0 ? describe : describe.skip)(
  `between curl and nginx${missing.map((name) => ` (no ${name})`).join('')}`,
  () => {
    const curl = async (...args: string[]): Promise<string> =>
      (await run('curl', ['-s', ...args], { maxBuffer: 2 ** 26 })).stdout;

    it('lets allowed requests through, large answers too, and refuses others, on one connection', async () => {
      const url = `http://127.0.0.1:${await startStatic(await startNginx())}`;
      expect(await curl(`${url}/ok`, `${url}/ok/x`)).toBe('hello\nhello\n');
      const write = ['-w', '%{http_code} %{num_connects}\n'];
      expect(await curl(...write, `${url}/ok`, '-X', 'PUT', `${url}/ok`)).toBe(
        'Access denied\r\n403 1\nAccess denied\r\n403 0\n',
      );
      expect(await curl('-I', `${url}/ok`)).toContain('HTTP/1.1 200 OK');
      expect(await curl('--http1.0', `${url}/ok`, `${url}/no`)).toBe('hello\nAccess denied\r\n');
      expect(await curl('--http2', `${url}/ok`)).toBe('hello\n');
      expect(await curl('--path-as-is', `${url}/ok/../no`)).toBe('Access denied\r\n');
    });

    it('carries large answers', async () => {
      const url = `http://127.0.0.1:${await startStatic(await startNginx())}`;
      expect(await curl('-w', '%{size_download}', '-o', '/dev/null', `${url}/ok/big`)).toBe('20000000');
      expect(await curl('-w', '%{size_download}', '-o', '/dev/null', '--limit-rate', '50M', `${url}/ok/big`)).toBe(
        '20000000',
      );
    });
  },
);

describe('SIGTERM', () => {
  it('lets the running exchange end, and the process with status 0', async () => {
    const upstream = await startRawServer();
    cleanups.push(() => upstream.close());
    const client = await dial(await startStatic(upstream.port));
    client.send(get('/ok'));
    const server = await upstream.accept();
    await server.takeHead();
    proxy?.child.kill('SIGTERM');
    await proxy?.logged('"Stopping"');
    server.send(ok('last words'));
    expect(await client.ended()).toBe(ok('last words'));
    expect(await proxy?.exited()).toBe(0);
  });
});

describe('under an agent', () => {
  it('takes its rules, and saves them for the next start', async () => {
    const address = `unix:${directory}/agent.sock`;
    const rules = [{ id: 1, http: [{ method: '', path: '/new', host: '' }] }];
    const agent = await startFakeAgent(address, () => ({ version: 1, snapshot: true, upserted: rules }));
    cleanups.push(() => agent.stop());
    const port = await startStatic(9, '--agent', address, '--node-name', 'n1');
    expect(await agent.hello()).toMatchObject({ node: 'n1', port, pid: proxy?.child.pid });
    await agent.acknowledged(1);
    const client = await dial(port);
    client.send(get('/ok'));
    expect((await client.takeResponse()).status).toBe(403);
    client.socket.destroy();
    proxy?.child.kill('SIGTERM');
    expect(await proxy?.exited()).toBe(0);
    const saved = await readFile(join(directory, 'l7-proxy', 'rule-sets.json'), 'utf8');
    expect(JSON.parse(saved)).toEqual({ version: 1, ruleSets: rules });
  });
});

describe('a static file that is not as expected', () => {
  it('ends the process with status 1 and the name of the field', async () => {
    const path = join(directory, 'static.json');
    await writeFile(path, JSON.stringify({ listen: '127.0.0.1:1', upstream: 7 }));
    proxy = spawnProxy(['--static', path]);
    expect(await proxy.exited()).toBe(1);
    expect(proxy.log()).toContain('\\"upstream\\" is 7, expected \\"host:port\\"');
  });
});
