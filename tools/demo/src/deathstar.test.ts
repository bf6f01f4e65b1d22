// SPDX-License-Identifier: Apache-2.0
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { serveDeathstar } from './deathstar.ts';

describe('serveDeathstar()', () => {
  let server: Server;
  beforeEach(async () => {
    server = await serveDeathstar(0);
  });
  afterEach(() => new Promise((resolve) => server.close(resolve)));

  const ask = async (host: string, method: string, path: string): Promise<string> => {
    const { port } = server.address() as AddressInfo;
    const response = await fetch(`http://${host}:${port}${path}`, { method, headers: { connection: 'close' } });
    return `${response.status} ${await response.text()}`;
  };

  it.each(['127.0.0.1', '[::1]'])('lets ships land, and explodes, on %s', async (host) => {
    expect(await ask(host, 'POST', '/v1/request-landing')).toBe('200 Ship landed\n');
    expect(await ask(host, 'PUT', '/v1/exhaust-port')).toBe('500 Panic: deathstar exploded\n');
  });

  it('knows nothing else', async () => {
    expect(await ask('[::1]', 'GET', '/v1/request-landing')).toMatch(/^404 /);
  });
});
