// SPDX-License-Identifier: Apache-2.0
// What a pod's interface costs: `node libs/netlink/bench/pod-interface.ts [COUNT]`, as root. A veth pair with its peer in the
// pod's namespace, both ends up, an IPv4 and an IPv6 address, a route to the gateway and a default route of each family;
// by this library, by `ip -batch` (two processes) and by `ip` (ten processes), and how long it takes to delete it again.
import { execFileSync } from 'node:child_process';
import { openNetworkNamespace } from '@weir/bpf-loader-node';
import {
  addAddress,
  addRoute,
  addVeth,
  createNetlink,
  deleteLink,
  deleteLinks,
  getLink,
  setLink,
  type Netlink,
} from '../src/index.ts';

const [countText = '200'] = process.argv.slice(2);
const count = Number(countText);
const deletedEach = 20;
const macAddress = 'ee:ee:ee:ee:ee:ee';
const hostName = `weirbench${process.pid}`;
const podName = (index: number): string => `${hostName}-${index}`;
const linkName = (index: number): string => `weir${index}`;

function ip(args: readonly string[], input = ''): void {
  execFileSync('ip', args, { input, stdio: ['pipe', 'ignore', 'inherit'] });
}

async function addByNetlink(host: Netlink, index: number): Promise<void> {
  using netns = openNetworkNamespace(`/run/netns/${podName(index)}`);
  const name = linkName(index);
  const [, link] = await host.batch([
    addVeth({ name, up: true, noArp: true, macAddress, mtu: 1450, peer: { name: 'eth0', netns, mtu: 1450 } }),
    getLink({ name }),
  ]);
  const linkIndex = link.peerIndex ?? 0;
  using pod = createNetlink({ netns });
  await pod.batch([
    setLink({ index: 1 }, { up: true }),
    setLink({ index: linkIndex }, { up: true }),
    addAddress({ linkIndex, address: '10.0.0.2/32' }),
    addAddress({ linkIndex, address: 'fd00::2/128', noDuplicateDetection: true }),
    addRoute({ destination: '10.0.0.1/32', linkIndex }),
    addRoute({ destination: '0.0.0.0/0', linkIndex, gateway: '10.0.0.1' }),
    addRoute({ destination: 'fd00::1/128', linkIndex }),
    addRoute({ destination: '::/0', linkIndex, gateway: 'fd00::1' }),
  ]);
}

const hostCommands = (index: number): string[] => [
  `link add ${linkName(index)} address ${macAddress} mtu 1450 type veth peer name eth0 mtu 1450 netns ${podName(index)}`,
  `link set ${linkName(index)} arp off up`,
];
const podCommands = [
  'link set lo up',
  'link set eth0 up',
  'address add 10.0.0.2/32 dev eth0',
  'address add fd00::2/128 dev eth0 nodad',
  'route add 10.0.0.1/32 dev eth0',
  'route add default via 10.0.0.1 dev eth0',
  'route add fd00::1/128 dev eth0',
  'route add default via fd00::1 dev eth0',
];

function addByIp(index: number): void {
  for (const command of hostCommands(index)) ip(['-n', hostName, ...command.split(' ')]);
  for (const command of podCommands) ip(['-n', podName(index), ...command.split(' ')]);
}

function addByIpBatch(index: number): void {
  ip(['-n', hostName, '-batch', '-'], hostCommands(index).join('\n'));
  ip(['-n', podName(index), '-batch', '-'], podCommands.join('\n'));
}

function print(what: string, timesMs: readonly number[]): void {
  const sorted = timesMs.toSorted((a, b) => a - b);
  const at = (share: number): string =>
    (sorted[Math.floor(sorted.length * share)] ?? Number.NaN).toFixed(2).padStart(8);
  process.stdout.write(`${what.padEnd(40)} p50 ${at(0.5)} ms   p99 ${at(0.99)} ms   of ${sorted.length}\n`);
}

async function time(act: () => unknown): Promise<number> {
  const start = performance.now();
  await act();
  return performance.now() - start;
}

async function timeEach(times: number, act: (index: number) => unknown): Promise<number[]> {
  const timesMs: number[] = [];
  for (let index = 0; index < times; index++) timesMs.push(await time(() => act(index)));
  return timesMs;
}

/** Makes the namespaces, lets `act` work in them, and deletes them. */
async function withNamespaces(act: (host: Netlink) => Promise<void>): Promise<void> {
  const names = [hostName, ...Array.from({ length: count }, (_, index) => podName(index))];
  try {
    for (const name of names) ip(['netns', 'add', name]);
    using host = createNetlink({ netns: `/run/netns/${hostName}` });
    await act(host);
  } finally {
    for (const name of names) ip(['netns', 'del', name]);
  }
}

await withNamespaces(async (host) => {
  print('add, this library', await timeEach(count, (index) => addByNetlink(host, index)));
  const one = await timeEach(deletedEach, (index) => host.run(deleteLink({ name: linkName(index) })));
  print('delete one, this library', one);
  const rest = Array.from({ length: count - deletedEach }, (_, index) => ({ name: linkName(index + deletedEach) }));
  print(`delete ${rest.length} together, this library`, [await time(() => host.batch(deleteLinks(rest)))]);
});
await withNamespaces(async () => {
  print('add, ip -batch', await timeEach(count, addByIpBatch));
});
await withNamespaces(async () => {
  print('add, ip', await timeEach(count, addByIp));
});
