// SPDX-License-Identifier: Apache-2.0
import { createSocket, type Socket } from 'node:dgram';
import { createNetlink } from './netlink.ts';
import { type ConnectedUdpSocket, destroyUdpSocket, listConnectedUdpSockets } from './socket-diag.ts';

const sockets: Socket[] = [];
const netlinks: Disposable[] = [];
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.close();
  for (const netlink of netlinks.splice(0)) netlink[Symbol.dispose]();
});

async function connected(type: 'udp4' | 'udp6', { address, port }: { address: string; port: number }): Promise<Socket> {
  const socket = createSocket(type);
  sockets.push(socket);
  await new Promise<void>((resolve) => socket.connect(port, address, resolve));
  return socket;
}

const mapped = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1);
const loopback6 = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);

describe.each([
  ['an IPv4 socket', 'udp4', '127.0.0.1', 'ipv4', mapped],
  ['an IPv6 socket', 'udp6', '::1', 'ipv6', loopback6],
  ['an IPv6 socket that talks IPv4', 'udp6', '::ffff:127.0.0.1', 'ipv6', mapped],
] as const)('%s', (_what, type, address, family, peerAddress) => {
  it('is listed with its peer, and ends when it is destroyed, and no other does', async () => {
    const netlink = createNetlink({ protocol: 'sock-diag' });
    netlinks.push(netlink);
    // Nobody is there, but for UDP that need not be.
    const ports = [40_001, 40_002];
    const [first, second] = await Promise.all(ports.map((port) => connected(type, { address, port })));
    const ours = async (): Promise<ConnectedUdpSocket[]> =>
      (await netlink.run(listConnectedUdpSockets(family))).filter(({ peerPort }) => ports.includes(peerPort));
    const before = await ours();
    expect(before.map(({ peerPort }) => peerPort).sort()).toEqual(ports);
    expect(before.map((each) => each.peerAddress)).toEqual([peerAddress, peerAddress]);
    expect(new Set(before.map(({ cookie }) => cookie)).size).toBe(2);

    const failed = new Promise<NodeJS.ErrnoException>((resolve) => first?.on('error', resolve));
    await netlink.run(destroyUdpSocket(before.find(({ peerPort }) => peerPort === ports[0])!));
    expect(await failed).toMatchObject({ code: 'ECONNABORTED' });
    expect((await ours()).map(({ peerPort }) => peerPort)).toEqual([ports[1]]);
    expect(second?.remoteAddress().port).toBe(ports[1]);
  });
});

it('destroying what is gone is NOT_FOUND', async () => {
  const netlink = createNetlink({ protocol: 'sock-diag' });
  netlinks.push(netlink);
  const socket = await connected('udp4', { address: '127.0.0.1', port: 40_003 });
  const [listed] = (await netlink.run(listConnectedUdpSockets('ipv4'))).filter(({ peerPort }) => peerPort === 40_003);
  sockets.splice(0);
  await new Promise<void>((resolve) => socket.close(resolve));
  await expect(netlink.run(destroyUdpSocket(listed!))).rejects.toMatchObject({ code: 'NOT_FOUND' });
});
