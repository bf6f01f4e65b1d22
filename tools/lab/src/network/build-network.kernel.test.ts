// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { requireCommand, runCommand, type Argv } from '../machine/run-command.ts';
import { createNamespaceRegistry, netnsPath } from '../machine/network-namespace.ts';
import { buildNetwork } from './build-network.ts';
import { planNetwork } from './plan.ts';

const lab = `net${process.pid}`;
const directory = mkdtempSync(join(tmpdir(), 'weir-network-'));
const registry = createNamespaceRegistry(directory);
const inside = (host: string, command: Argv): Argv => ['nsenter', `--net=${netnsPath(`${lab}-${host}`)}`, ...command];
const ping = async (host: string, address: string): Promise<number | null> =>
  (await runCommand(inside(host, ['ping', '-c', '1', '-W', '2', address]))).status;

let linksBefore = '';
beforeAll(async () => {
  linksBefore = await requireCommand(['ip', '-brief', 'link']);
  await buildNetwork(planNetwork({ lab, nodeCount: 2 }), registry);
});
afterAll(async () => {
  for (const name of await registry.list()) await registry.remove(name);
  rmSync(directory, { recursive: true, force: true });
});

describe('buildNetwork()', () => {
  it('joins nodes and world in both families, at once', async () => {
    expect(await ping('node1', '172.31.0.12')).toBe(0);
    expect(await ping('node1', 'fd00:172:31::12')).toBe(0);
    expect(await ping('node2', '172.31.0.2')).toBe(0);
    expect(await ping('world', 'fd00:172:31::11')).toBe(0);
  });

  it('gives nodes a default route and lets them forward without source checks', async () => {
    expect(await requireCommand(inside('node1', ['ip', 'route', 'show', 'default']))).toContain('via 172.31.0.2');
    expect(await requireCommand(inside('node1', ['ip', '-6', 'route', 'show', 'default']))).toContain('fd00:172:31::2');
    const files = [
      'ipv4/ip_forward',
      'ipv6/conf/all/forwarding',
      'ipv4/conf/all/rp_filter',
      'ipv4/conf/eth0/rp_filter',
    ];
    const values = await requireCommand(inside('node1', ['cat', ...files.map((file) => `/proc/sys/net/${file}`)]));
    expect(values.split('\n').slice(0, 4)).toEqual(['1', '1', '0', '0']);
  });

  it('tells the world where pods are', async () => {
    const routes = await requireCommand(inside('world', ['ip', 'route']));
    expect(routes).toContain('10.244.1.0/24 via 172.31.0.11');
    expect(routes).toContain('10.244.2.0/24 via 172.31.0.12');
  });

  it("changes nothing in the machine's own namespace", async () => {
    expect(await requireCommand(['ip', '-brief', 'link'])).toBe(linksBefore);
  });

  it('writes down every namespace that it has made', () => {
    expect(readdirSync(directory).sort()).toEqual(['lan', 'node1', 'node2', 'world'].map((host) => `${lab}-${host}`));
  });
});
