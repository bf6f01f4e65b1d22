// SPDX-License-Identifier: Apache-2.0
// Who is given flows and who is not, over real sockets.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createAuthority } from '@weir/certificates';
import { observer } from '@weir/proto';
import { createLogger } from '@weir/telemetry';
import { type PageTraffic, rowsWaitingMax, type StreamLine, streamFlows } from './flow-stream.ts';
import { createPageAccess } from './page-access.ts';
import { connectionFlow, eventually, type PageWorld, podEnd, startPageWorld } from './testing/page-world.ts';

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
  /** The number of the certificate that was shown. */
  readonly certificate: string | undefined;
}

const logger = createLogger({ service: 'test', level: 'silent' });

let directory: string;
let world: PageWorld | undefined;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'weir-page-server-'));
});
afterEach(async () => {
  await world?.stop();
  world = undefined;
  rmSync(directory, { recursive: true });
});

const json = { 'content-type': 'application/json' };

/** One request. Of a stream it takes the first line and leaves. */
function ask(
  path: string,
  options: { method?: string; headers?: Record<string, string>; body?: string; ca?: string } = {},
): Promise<Answer> {
  const url = new URL(path, world?.url);
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
  const { method = 'POST', headers = json, body = '{}', ca } = options;
  return new Promise((resolve, reject) => {
    const request = send(
      url,
      { method, headers, agent: false, rejectUnauthorized: false, ...(ca && { ca }) },
      (response) => {
        let text = '';
        const certificate = (response.socket as TLSSocket).getPeerX509Certificate?.()?.serialNumber;
        const done = (): void => {
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text, certificate });
          request.destroy();
        };
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
          if (text.includes('\n')) done();
        });
        response.on('end', done);
      },
    );
    request.on('error', reject);
    request.end(method === 'POST' ? body : undefined);
  });
}

describe('startPageServer', () => {
  it('gives the page to everybody, and tells browsers to run and load nothing else', async () => {
    world = await startPageWorld();
    for (const path of ['/', '/main.js', '/page.css', '/icon.svg']) {
      const { status, headers } = await ask(path, { method: 'GET' });
      expect([path, status]).toEqual([path, 200]);
      const policy = String(headers['content-security-policy']);
      expect(policy).toMatch(/^default-src 'none'; script-src 'self';/);
      expect(policy).toMatch(/frame-ancestors 'none'.*require-trusted-types-for 'script'; trusted-types 'none'$/);
      expect(policy).not.toMatch(/unsafe|https?:|\*|data:/);
      expect(headers).toMatchObject({ 'x-content-type-options': 'nosniff', 'cache-control': 'no-store' });
    }
    const page = (await ask('/', { method: 'GET' })).body;
    expect(page).toMatch(/^<!doctype html>/);
  });

  it.each([
    ['GET', '/../package.json', 404],
    ['GET', '/%2e%2e/package.json', 404],
    ['GET', '/flows', 405],
    ['POST', '/', 405],
    ['DELETE', '/flows', 405],
  ])('%s %s is answered with %i', async (method, path, status) => {
    world = await startPageWorld();
    expect((await ask(path, { method })).status).toBe(status);
  });

  it('gives flows by addresses of this machine only, when there is no token', async () => {
    world = await startPageWorld();
    const { port } = new URL(world.url);
    const statusFor = async (host: string) => (await ask('/flows', { headers: { ...json, host } })).status;
    expect(await statusFor(`127.0.0.1:${port}`)).toBe(200);
    expect(await statusFor(`localhost:${port}`)).toBe(200);
    expect(await statusFor(`[::1]:${port}`)).toBe(200);
    // A name of somebody else's that leads here.
    expect(await statusFor(`evil.example:${port}`)).toBe(403);
    expect(await statusFor(`127.0.0.1.evil.example:${port}`)).toBe(403);
  });

  it('does not answer what another page can have a browser send without asking', async () => {
    world = await startPageWorld();
    expect((await ask('/flows', { headers: { 'content-type': 'text/plain' } })).status).toBe(415);
    expect((await ask('/flows', { method: 'OPTIONS' })).headers).not.toHaveProperty('access-control-allow-origin');
  });

  it.each([
    ['{', 400, 'The request is no JSON'],
    ['[]', 400, 'The request is no object of JSON'],
    ['{"last": 5000}', 400, 'last is 5000, expected 0–1000'],
    ['{"follow": false}', 400, 'is none of the request'],
    ['{"whitelist": [{"colour": ["red"]}]}', 400, 'whitelist[0].colour is no field of flow.FlowFilter'],
    ['{"whitelist": [{"http_status_code": ["abc"]}]}', 400, 'abc'],
    [`{"whitelist": ["${'x'.repeat(70_000)}"]}`, 413, 'A request has more than 65536 bytes'],
  ])('refuses %.40s, and says why', async (body, status, message) => {
    world = await startPageWorld();
    const answer = await ask('/flows', { body });
    expect([answer.status, answer.body]).toEqual([status, expect.stringContaining(message)]);
  });

  it('gives flows over TLS to whoever has the token, and takes new files', async () => {
    const authority = createAuthority({ directory });
    const names: [string] = ['page.example'];
    const files = authority.issue(names);
    const tokenFile = join(directory, 'token');
    writeFileSync(tokenFile, 'a-token-for-this-test');
    world = await startPageWorld({ page: { tokenFile, tls: files } });
    expect(world.url).toMatch(/^https:/);
    const withToken = (token: string) => ask('/flows', { headers: { ...json, authorization: `Bearer ${token}` } });
    expect(await ask('/flows')).toMatchObject({ status: 401, body: expect.stringContaining('needs a token') });
    expect(await withToken('a-token-for-that-test')).toMatchObject({ status: 401 });
    const before = await withToken('a-token-for-this-test');
    expect(before.status).toBe(200);
    // Not usable: what was before stays.
    writeFileSync(tokenFile, 'short');
    authority.issue(names);
    const after = await eventually('the new certificate is shown', async () => {
      const answer = await withToken('a-token-for-this-test');
      return answer.certificate !== before.certificate && answer;
    });
    expect(after.status).toBe(200);
    writeFileSync(tokenFile, 'another-token-for-this-test');
    await eventually('the old token is refused', async () => (await withToken('a-token-for-this-test')).status === 401);
    expect((await withToken('another-token-for-this-test')).status).toBe(200);
  });

  it.each([
    ['short', /16 printable characters/],
    ['a token with blanks in it', /no blanks/],
  ])('does not start with "%s" as its token', (token, message) => {
    const tokenFile = join(directory, 'token');
    writeFileSync(tokenFile, token);
    expect(() => createPageAccess(tokenFile, { onChange: () => undefined, logger })).toThrow(message);
    expect(() => createPageAccess(`${tokenFile}-none`, { onChange: () => undefined, logger })).toThrow(/ENOENT/);
  });
});

describe('streamFlows', () => {
  const flowBytes = (): Buffer => {
    const flow = connectionFlow(podEnd('a'), podEnd('b'));
    return Buffer.from(observer.GetFlowsResponse.encode({ flow, nodeName: 'node1' }).finish());
  };

  it('tells a reader that is slow how many flows it has not got, to the last one', async () => {
    const traffic: PageTraffic = { readers: 0, flows: 0, lost: 0, refused: 0 };
    const total = 3 * rowsWaitingMax + 17;
    const one = flowBytes();
    const lostBefore = { lostEvents: { source: 2, numEventsLost: 5 }, nodeName: 'node1' };
    const output = new PassThrough({ highWaterMark: 256 });
    const responses = (async function* () {
      yield Buffer.from(observer.GetFlowsResponse.encode(lostBefore).finish());
      for (let sent = 0; sent < total; sent++) {
        if (sent % 512 === 0) await turn();
        yield one;
      }
      // The reader wakes up only now.
      output.resume();
      while (output.writableNeedDrain) await turn();
      yield one;
    })();
    let text = '';
    output.on('data', (chunk: Buffer) => (text += chunk.toString()));
    output.pause();
    const pool = { list: () => [], isListening: true };
    await streamFlows(output, { responses, pool, traffic, signal: new AbortController().signal });
    output.end();
    await eventually('all is read', () => output.readableEnded);
    const lines = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as StreamLine);
    const sum = (pick: (line: StreamLine) => number): number => lines.reduce((all, line) => all + pick(line), 0);
    const [rows, here] = [sum((line) => line.rows?.length ?? 0), sum((line) => line.lost?.here ?? 0)];
    expect(here).toBeGreaterThanOrEqual(rowsWaitingMax);
    expect(rows + here).toBe(total + 1);
    expect(sum((line) => line.lost?.before ?? 0)).toBe(5);
    expect(traffic).toEqual({ readers: 0, flows: rows, lost: here, refused: 0 });
  });
});
