// SPDX-License-Identifier: Apache-2.0
// Rules for HTTP requests, kept by the proxy between real clients and servers.
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  authority,
  curl,
  exchange,
  httpServer,
  nginx,
  readAnswer,
  requestText,
  type HttpAnswer,
} from './testing/http.ts';
import { fromEntities, fromPods, onHttp, policy, toEntities, toPods } from './testing/policy.ts';
import type { Connection } from './testing/puppet.ts';
import { families, useLab, type PlayedHost, type PlayedPod } from './testing/use-lab.ts';

const [isServer, isClient] = [{ app: 'server' }, { app: 'client' }];
const port = 8080;
const nginxPort = 8081;
const directory = mkdtempSync(join(tmpdir(), 'weir-http-policy-'));
const largeFile = join(directory, 'large');
const large = Buffer.alloc(50_000_000, '0123456789abcdef');
const checksum = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

let server: PlayedPod, client: PlayedPod, node: PlayedHost, world: PlayedHost;
const test = useLab('http', async ({ pod, host, lab }) => {
  writeFileSync(largeFile, large);
  [server, client, node, world] = await Promise.all([
    pod('server', { labels: isServer, ...httpServer(port) }),
    pod('client', { labels: isClient }),
    host('@node1'),
    host('@world'),
    pod('other', { labels: { app: 'other' } }),
  ]);
  const servers = ['server', '@node1', '@world'].map((name) =>
    nginx(lab, { target: name, port: nginxPort, directory }),
  );
  await Promise.all(servers);
});
afterAll(() => rmSync(directory, { recursive: true }));

/** Lets the client, and besides the node and the world, make requests that fit one of these. */
const allow = (...http: Record<string, string>[]): Promise<void> =>
  test.apply(
    policy('rules', isServer, {
      ingress: [
        { ...fromPods(isClient), ...onHttp(port, ...http) },
        { ...fromPods(isClient), ...onHttp(nginxPort, ...http) },
        { ...fromEntities('host', 'world'), ...onHttp(nginxPort, ...http) },
      ],
    }),
  );

describe.each(families)('over %s', (family) => {
  const url = (path: string, at = port): string => `http://${authority(server[family], at)}${path}`;
  const get = (path: string, ...args: string[]): ReturnType<typeof curl> =>
    curl(test.lab, 'client', ...args, url(path));
  const connect = (): Promise<Connection> => client.connect({ address: server[family], port });
  const count = async (): Promise<number> => Number((await curl(test.lab, 'server', url('/count'))).body);

  describe('a server that allows its client everything but /no', () => {
    beforeEach(() => allow({ path: '/([^n]|n[^o]).*' }));

    it('gets what is allowed, and never sees what is answered with 403', async () => {
      const before = await count();
      expect(await get('/yes')).toEqual({ status: 200, body: 'GET /yes', exit: 0 });
      expect(await get('/no')).toEqual({ status: 403, body: 'Access denied\r\n', exit: 0 });
      expect(await count()).toBe(before + 2);
    });

    it.each([
      ['client', 200],
      ['@node1', 200],
      ['@world', 200],
    ])('sees the address of %s, not that of the proxy', async (from, status) => {
      const gateway = { ipv4: '10.244.1.1', ipv6: 'fd00:10:244:1::1' }[family];
      const address = { client: client[family], '@node1': gateway, '@world': world[family] }[from];
      expect(await curl(test.lab, from, url('/who', nginxPort))).toMatchObject({ status, body: address });
      expect(await curl(test.lab, from, url('/no', nginxPort))).toMatchObject({ status: 403 });
    });

    it('is not there for anybody else', async () => {
      const since = test.events.mark();
      const asking = curl(test.lab, 'other', '--connect-timeout', '0.5', url('/yes'));
      await test.events.find(since, { type: 'drop', from: 'other', to: 'server', port, reason: 'Policy denied' });
      expect(await asking).toMatchObject({ status: 0, exit: 28 });
    });

    it('answers requests on one connection, refused ones among them', async () => {
      const connection = await connect();
      const statuses: number[] = [];
      for (const path of ['/1', '/no', '/2', '/no', '/3']) statuses.push((await exchange(connection, path)).status);
      expect(statuses).toEqual([200, 403, 200, 403, 200]);
    });

    it('answers pipelined requests in their order', async () => {
      const connection = await connect();
      await connection.send(['/1', '/no', '/2'].map((path) => requestText('GET', path)).join(''));
      let text = '';
      while (!text.includes('GET /2')) text += await connection.receive(1);
      expect(text.match(/HTTP\/1\.1 \d+|GET \/\d|Access denied/g)).toEqual([
        ...['HTTP/1.1 200', 'GET /1'],
        ...['HTTP/1.1 403', 'Access denied'],
        ...['HTTP/1.1 200', 'GET /2'],
      ]);
    });

    it('gets 50 MB with a length, which curl sends after 100 Continue', async () => {
      const { stdout, stderr, status } = await test.lab.exec('client', [
        ...(['curl', '-sSv', '--max-time', '60', '--globoff', '--data-binary', `@${largeFile}`] as const),
        url('/checksum'),
      ]);
      expect({ stdout, status }).toEqual({ stdout: `${checksum(large)} with a length`, status: 0 });
      expect(stderr).toMatch(/> Expect: 100-continue[^]*< HTTP\/1.1 100 Continue[^]*< HTTP\/1.1 200 OK/);
    });

    it('gets 50 MB in chunks', async () => {
      const chunked = ['-H', 'transfer-encoding: chunked', '--data-binary', `@${largeFile}`];
      expect(await get('/checksum', ...chunked)).toMatchObject({ body: `${checksum(large)} chunked` });
    });

    it('sends 50 MB', async () => {
      const command = `curl -sS --max-time 60 --globoff '${url('/large')}' | sha256sum`;
      const { stdout } = await test.lab.exec('client', ['sh', '-c', command]);
      expect(stdout.split(' ')[0]).toBe(checksum(Buffer.alloc(800 * 65_536, '0123456789abcdef')));
    });

    it('sends chunks with a trailer', async () => {
      const connection = await connect();
      await connection.send(requestText('GET', '/chunks', ['te: trailers']));
      let text = '';
      while (!text.endsWith('\r\n\r\n') || !text.includes('\r\n0\r\n')) text += await connection.receive(1);
      expect(text).toMatch(/^HTTP\/1.1 200 OK[^]*first [^]*second[^]*\r\n0\r\nx-end: reached\r\n\r\n$/i);
    });

    it('speaks another protocol after an allowed upgrade, and not after a refused one', async () => {
      const upgrade = ['connection: upgrade', 'upgrade: websocket'];
      const [allowed, refused] = await Promise.all([connect(), connect()]);
      await refused.send(requestText('GET', '/no', upgrade));
      expect(await readAnswer(refused)).toMatchObject({ status: 403 });
      await allowed.send(requestText('GET', '/socket', upgrade));
      expect(await readAnswer(allowed)).toMatchObject({ status: 101 });
      await allowed.send('no HTTP, both ways');
      expect(await allowed.receive(18)).toBe('no HTTP, both ways');
    });

    it('answers a request that cannot be read with 400, and closes', async () => {
      const connection = await connect();
      await connection.send(requestText('POST', '/1', ['content-length: 1', 'content-length: 2']));
      expect(await readAnswer(connection)).toMatchObject({ status: 400 });
      await expect(connection.receive(1)).rejects.toMatchObject({ code: 'CLOSED' });
    });

    it('answers 100 connections at the same time', async () => {
      const { stdout } = await test.lab.exec('client', [
        ...(['curl', '-sS', '--parallel', '--parallel-immediate', '--parallel-max', '100'] as const),
        ...['--max-time', '60', '-o', '/dev/null', '-w', '%{http_code} %{num_connects}\n'],
        `http://${authority(server[family], port).replace('[', '\\[').replace(']', '\\]')}/[1-100]`,
      ]);
      expect(stdout).toBe('200 1\n'.repeat(100));
    });

    it('that does not listen is named in a 503', async () => {
      await test.apply(policy('rules', isServer, { ingress: [onHttp(9999, {})] }));
      expect(await curl(test.lab, 'client', url('/1', 9999))).toMatchObject({ status: 503 });
    });
  });

  describe('rules', () => {
    const ask = async (method: string, path: string, fields: string[] = []): Promise<HttpAnswer> => {
      const connection = await connect();
      await connection.send(requestText(method, path, fields));
      return readAnswer(connection);
    };

    it('are for methods, paths with their query, and hosts', async () => {
      await allow({ method: 'GET|PUT', path: '/a(\\?b=[0-9]+)?' }, { host: 'other', path: '/c' });
      const answers = await Promise.all([
        ...[ask('GET', '/a'), ask('PUT', '/a', ['content-length: 0']), ask('GET', '/a?b=12')],
        ...[ask('DELETE', '/a'), ask('GET', '/a?b=x'), ask('GET', '/ab'), ask('GET', '/c')],
      ]);
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 403, 403, 403, 403]);
      expect(await get('/c', '-H', 'host: other')).toMatchObject({ status: 200 });
    });

    it('of the client are kept as well, and the server sees the client, outside its node', async () => {
      await test.apply(
        policy('rules', isClient, {
          egress: [
            { ...toPods(isServer), ...onHttp(nginxPort, { path: '/who' }) },
            { ...toEntities('host', 'world'), ...onHttp(nginxPort, { path: '/who' }) },
          ],
        }),
      );
      for (const { [family]: address } of [server, node, world]) {
        const at = `http://${authority(address, nginxPort)}`;
        const body = address === world[family] ? node[family] : client[family];
        expect(await curl(test.lab, 'client', `${at}/who`)).toMatchObject({ status: 200, body });
        expect(await curl(test.lab, 'client', `${at}/no`)).toMatchObject({ status: 403 });
      }
    });

    it('of the client and of the server must both allow', async () => {
      await test.apply(
        policy('out', isClient, { egress: [{ ...toPods(isServer), ...onHttp(port, { path: '/(both|out)' }) }] }),
        policy('in', isServer, { ingress: [{ ...fromPods(isClient), ...onHttp(port, { path: '/(both|in)' }) }] }),
      );
      const since = test.events.mark();
      expect(await get('/both')).toMatchObject({ status: 200 });
      expect(await get('/out')).toMatchObject({ status: 403 });
      expect(await get('/in')).toMatchObject({ status: 403 });
      const refusal = { type: 'l7', verdict: 'denied', from: 'client', to: 'server' } as const;
      await test.events.find(since, { ...refusal, policies: 'default/out' });
      await test.events.find(since, { ...refusal, policies: 'default/in' });
    });

    it('do not count where another rule allows the whole port', async () => {
      await test.apply(
        policy('in', isServer, { ingress: [{ ...fromPods(isClient), ...onHttp(port, { path: '/yes' }) }] }),
        policy('all', isServer, { ingress: [fromPods(isClient)] }),
      );
      expect(await get('/no')).toMatchObject({ status: 200 });
    });
  });
});
