// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { WeirError } from '@weir/errors';
import { silent } from '../testing/test-agent.ts';
import { type CniHandler, createCniServer } from './cni-server.ts';

let directory: string;
let socketPath: string;
let handler: CniHandler;
let server: ReturnType<typeof createCniServer>;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'weir-cni-'));
  socketPath = join(directory, 'run/cni.sock');
  handler = async ({ command }) => (command === 'ADD' ? { cniVersion: '1.1.0', ips: [] } : undefined);
  server = createCniServer({ socketPath, handler: (call) => handler(call), logger: silent });
  await server.start();
});
afterEach(async () => {
  await server.stop();
  rmSync(directory, { recursive: true });
});

const add = {
  ...{ command: 'ADD', containerId: 'c1', netns: '/run/netns/a', ifName: 'eth0', args: '' },
  config: { cniVersion: '1.1.0', name: 'weir' },
};

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

const call = (body: string, { method = 'POST', path = '/v1/cni' } = {}): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const sent = request({ socketPath, method, path }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (text += chunk));
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body: text === '' ? undefined : JSON.parse(text) }),
      );
    });
    sent.on('error', reject);
    sent.end(body);
  });

describe('createCniServer()', () => {
  it('answers with what the handler returns', async () => {
    expect(await call(JSON.stringify(add))).toEqual({ status: 200, body: { cniVersion: '1.1.0', ips: [] } });
    expect(await call(JSON.stringify({ ...add, command: 'DEL' }))).toEqual({ status: 200, body: undefined });
  });

  it('is open to root and its group only', () => {
    expect(statSync(socketPath).mode & 0o777).toBe(0o660);
  });

  it.each<[string, string, object, string]>([
    ['a body that is not JSON', '{"command"', {}, 'The request is not JSON'],
    ['an empty body', '', {}, 'The request is not JSON'],
    ['a body that is too large', ' '.repeat((1 << 20) + 1), {}, 'The request has more than 1048576 bytes'],
    ['another path', '{}', { path: '/v2/cni' }, 'POST /v2/cni is not POST /v1/cni'],
    ['another method', '', { method: 'GET' }, 'GET /v1/cni is not POST /v1/cni'],
    ['a field that is wrong', JSON.stringify({ ...add, ifName: '' }), {}, 'ifName: "" is not the name of an interface'],
  ])('refuses %s with code 7, and serves the next call', async (_, body, options, message) => {
    const { status, body: answer } = await call(body, options);
    expect(status).toBe(400);
    expect(answer).toMatchObject({ code: 7, msg: expect.stringContaining(message) });
    expect((await call(JSON.stringify(add))).status).toBe(200);
  });

  it('gives errors in the version of the configuration', async () => {
    handler = () => Promise.reject(new WeirError('UNAVAILABLE', 'Not now'));
    const body = JSON.stringify({ ...add, config: { cniVersion: '0.4.0', name: 'weir' } });
    expect(await call(body)).toEqual({ status: 500, body: { cniVersion: '0.4.0', code: 11, msg: 'Not now' } });
  });

  it('says which versions it speaks with code 1', async () => {
    const body = JSON.stringify({ ...add, config: { cniVersion: '9.0.0' } });
    expect((await call(body)).body).toMatchObject({
      code: 1,
      msg: expect.stringContaining('0.3.1, 0.4.0, 1.0.0, 1.1.0'),
    });
  });

  it('lets a call under way finish when it stops, and removes its socket', async () => {
    const entered = Promise.withResolvers<undefined>();
    const release = Promise.withResolvers<undefined>();
    handler = async () => {
      entered.resolve(undefined);
      await release.promise;
      return { done: true };
    };
    const answer = call(JSON.stringify(add));
    await entered.promise;
    const stopped = server.stop();
    release.resolve(undefined);
    expect(await answer).toEqual({ status: 200, body: { done: true } });
    await stopped;
    expect(existsSync(socketPath)).toBe(false);
  });

  it('refuses to take the place of a server that runs, or of another file', async () => {
    const second = (path: string) => createCniServer({ socketPath: path, handler, logger: silent }).start();
    await expect(second(socketPath)).rejects.toThrow(`Cannot listen on "${socketPath}": another process listens there`);
    expect((await call(JSON.stringify(add))).status).toBe(200);
    const file = join(directory, 'file');
    writeFileSync(file, 'mine');
    await expect(second(file)).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' });
  });
});
