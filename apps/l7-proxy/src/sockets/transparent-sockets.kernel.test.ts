// SPDX-License-Identifier: Apache-2.0
// Goal: neither side sees the proxy. Method: client – node – server, three namespaces in a row; everything that reaches the
// node is delivered to it, whatever its address, as the datapath does with the packets of a redirected connection.
import { execFile, execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

const run = promisify(execFile);
const port = 8080;
const name = (role: string): string => `weirl7${process.pid}${role}`;
const ip = (role: string, args: string): unknown => execFileSync('ip', ['-n', name(role), ...args.split(' ')]);
const inside = (role: string, ...command: string[]): [string, string[]] => [
  'ip',
  ['netns', 'exec', name(role), ...command],
];
const roles = ['c', 'n', 's'];
const children: ChildProcess[] = [];

/** Answers every request with the address and port from which it came. */
const echoServer = `require('http').createServer((q, r) => r.end(q.socket.remoteAddress + ' ' + q.socket.remotePort))
  .listen(${port}, '::', () => console.log('listening'))`;

const start = async (role: string, ...command: string[]): Promise<void> => {
  const child = spawn(...inside(role, ...command), { stdio: ['pipe', 'pipe', 'inherit'] });
  children.push(child);
  const [said] = (await once(child.stdout!, 'data')) as [Buffer];
  expect(said.toString()).toContain('listening');
};

const join = (left: string, right: string, net: number): void => {
  ip(left, `link add to-${right} type veth peer name to-${left} netns ${name(right)}`);
  for (const [role, device, host] of [
    [left, `to-${right}`, left === 'n' ? 1 : 2],
    [right, `to-${left}`, right === 'n' ? 1 : 2],
  ] as const) {
    ip(role, `addr add 10.32.${net}.${host}/24 dev ${device}`);
    ip(role, `addr add fd32:${net}::${host}/64 dev ${device} nodad`);
    // Neighbours are asked for from a link-local address, and the one that the kernel makes is of no use for a second.
    ip(role, `addr add fe80::${host}/64 dev ${device} nodad`);
    ip(role, `link set ${device} addrgenmode none up`);
  }
};

beforeAll(async () => {
  for (const role of roles) {
    execFileSync('ip', ['netns', 'add', name(role)]);
    ip(role, 'link set lo up');
  }
  join('c', 'n', 1);
  join('n', 's', 2);
  for (const family of [4, 6]) {
    ip('c', `-${family} route add default via ${family === 4 ? '10.32.1.1' : 'fd32:1::1'}`);
    ip('s', `-${family} route add default via ${family === 4 ? '10.32.2.1' : 'fd32:2::1'}`);
    ip('n', `-${family} route add local default dev lo table 2004`);
    ip('n', `-${family} rule add pref 10 iif to-c lookup 2004`);
    ip('n', `-${family} rule add pref 10 iif to-s lookup 2004`);
  }
  await start('s', process.execPath, '-e', echoServer);
  await start(
    'n',
    process.execPath,
    fileURLToPath(new URL('../testing/transparent-proxy.ts', import.meta.url)),
    String(port),
  );
});
afterAll(async () => {
  for (const child of children) {
    child.kill();
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  }
  for (const role of roles) execFileSync('ip', ['netns', 'del', name(role)]);
});

describe('transparent sockets', () => {
  it.each([
    ['IPv4', '10.32.2.2', '::ffff:10.32.1.2'],
    ['IPv6', '[fd32:2::2]', 'fd32:1::2'],
  ])('show the server the client as its peer, and the client the server, over %s', async (_family, server, client) => {
    const url = `http://${server}:${port}`;
    const { stdout } = await run(...inside('c', 'curl', '-s', '-w', ' %{remote_ip}', `${url}/ok`));
    const [source, sourcePort, peer] = stdout.split(' ');
    expect(stdout).toContain(client);
    expect(source).toBe(client);
    expect(Number(sourcePort)).toBeGreaterThan(0);
    expect(`[${peer}]`.includes(server.replace(/[[\]]/g, ''))).toBe(true);
    const refused = await run(...inside('c', 'curl', '-s', `${url}/no`));
    expect(refused.stdout).toBe('Access denied\r\n');
  });

  it('tell the client that there is no server', async () => {
    // Nobody has this address.
    const { stdout } = await run(
      ...inside('c', 'curl', '-s', '-m', '5', '-w', '%{http_code}', `http://10.32.2.77:${port}/ok`),
    );
    expect(stdout).toMatch(/503$/);
  });
});
