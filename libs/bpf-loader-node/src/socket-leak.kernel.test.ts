// SPDX-License-Identifier: Apache-2.0
// Every way in which a descriptor or native memory can be handed out, 10,000 times, must leave the process as it was. What
// the engine keeps for itself comes and goes, while a leak grows in every round: one quiet round is proof enough.
import { closeSync } from 'node:fs';
import { endianness } from 'node:os';
import { processResources } from '../testing/process-resources.ts';
import { openNetlinkSocket } from './netlink-socket.ts';
import { subscribeNetlink } from './netlink-subscription.ts';
import { openNetworkNamespace, readFileInNetns } from './network-namespace.ts';
import { localAddress } from './tcp-options.ts';
import { connectTcp, listenTcp } from './transparent-socket.ts';

const roundsMax = 8;
const timesPerRound = 10_000;
const atATime = 50;
/** Per round: 50 bytes at a time. */
const growthMibMax = 0.5;

/** RTM_GETLINK of the loopback. */
const getLoopback = new Uint8Array(32);
const view = new DataView(getLoopback.buffer);
const littleEndian = endianness() === 'LE';
view.setUint32(0, 32, littleEndian);
view.setUint16(4, 18, littleEndian);
view.setInt32(20, 1, littleEndian);

/** A listener whose backlog is full: nobody answers there. */
let silent: { address: string; port: number };
let silentFds: number[];
beforeAll(async () => {
  const listener = listenTcp({ address: '127.0.0.1', port: 0, backlog: 0 });
  silent = { address: '127.0.0.1', port: localAddress(listener).port };
  silentFds = [await connectTcp(silent), listener];
});
afterAll(() => {
  for (const fd of silentFds) closeSync(fd);
});

async function mustFail(act: () => unknown): Promise<void> {
  try {
    await act();
  } catch {
    return;
  }
  throw new Error('It should have failed');
}

const ignore = { onMessages: (): undefined => undefined, onLost: (): undefined => undefined };

const ways: Readonly<Record<string, () => unknown>> = {
  'namespaces opened and closed': () => {
    openNetworkNamespace('/proc/self/ns/net').close();
  },
  'namespaces opened and forgotten': () => openNetworkNamespace('/proc/self/ns/net').inode,
  'namespaces that cannot be opened': () => mustFail(() => openNetworkNamespace('/dev/null')),
  'files read in a namespace': async () => {
    using netns = openNetworkNamespace('/proc/self/ns/net');
    await readFileInNetns(netns, '/proc/sys/net/ipv4/ip_forward');
  },
  'netlink sockets, a request each': async () => {
    using socket = openNetlinkSocket();
    await socket.request(getLoopback);
  },
  'netlink requests that are cancelled': async () => {
    using socket = openNetlinkSocket();
    await socket.request(getLoopback, { timeoutMs: 0 }).catch(() => undefined);
  },
  'netlink sockets closed during a request': async () => {
    const socket = openNetlinkSocket();
    const request = socket.request(getLoopback);
    socket.close();
    await request.catch(() => undefined);
  },
  subscriptions: () => {
    subscribeNetlink({ groups: [1], ...ignore }).close();
  },
  'subscriptions to a group that does not exist': () => mustFail(() => subscribeNetlink({ groups: [255], ...ignore })),
  'listeners and connections to them': async () => {
    const listener = listenTcp({ address: '127.0.0.1', port: 0 });
    const connection = await connectTcp({ address: '127.0.0.1', port: localAddress(listener).port });
    closeSync(connection);
    closeSync(listener);
  },
  'listeners on an address that is taken': () => mustFail(() => listenTcp(silent)),
  'connections that are refused': () => mustFail(() => connectTcp({ address: '127.0.0.1', port: 1 })),
  'connections that run out of time': () => mustFail(() => connectTcp({ ...silent, timeoutMs: 1 })),
  'connections that are cancelled': async () => {
    const controller = new AbortController();
    const connecting = mustFail(() => connectTcp({ ...silent, signal: controller.signal }));
    controller.abort();
    await connecting;
  },
  'connections from an address that cannot be had': () =>
    mustFail(() => connectTcp({ ...silent, source: { address: '10.1.1.1' }, transparent: false })),
};

async function repeat(act: () => unknown, times: number): Promise<void> {
  for (let i = 0; i < times; i += atATime) {
    await Promise.all(Array.from({ length: atATime }, async () => act()));
    await new Promise(setImmediate);
  }
}

describe('10,000 times and nothing is left', () => {
  it.each(Object.entries(ways))('%s', async (_title, act) => {
    await repeat(act, timesPerRound / 10);
    const before = await processResources();
    let after = before;
    let growthMib = Infinity;
    for (let round = 0; round < roundsMax && growthMib > growthMibMax; round++) {
      const { nativeMib } = after;
      await repeat(act, timesPerRound);
      after = await processResources();
      growthMib = after.nativeMib - nativeMib;
    }
    expect(after.descriptors).toBeLessThanOrEqual(before.descriptors);
    expect(after.threads).toBeLessThanOrEqual(before.threads);
    expect(growthMib).toBeLessThanOrEqual(growthMibMax);
  });
});
