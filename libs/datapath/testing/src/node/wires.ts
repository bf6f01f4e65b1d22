// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { attachTc, type Link } from '@weir/bpf-loader-node';
import type { PacketNode } from './packet-node.ts';
import { client, gatewayMac, host, hostIfindex, remotePod, server, uplinkIfindex, world, type Pod } from './scene.ts';

/** The namespaces of a node whose programs are attached: paths, for sockets. */
export interface Wires {
  readonly node: string;
  readonly client: string;
  readonly server: string;
  /** Of the machine behind the uplink, which has the addresses of the world and of the remote pod. */
  readonly outside: string;
  remove(): void;
}

const uplinkNet = { near: '192.0.2.1', far: '192.0.2.254', near6: '2001:db8::1', far6: '2001:db8::fe' } as const;

const ipv6Only = '-6 ';

/** Runs `ip` commands in one go; those that begin with `-6` after the others. */
function ip(netns: string, commands: readonly string[]): void {
  const isIpv6 = (command: string): boolean => command.startsWith(ipv6Only);
  const batch = (family: readonly string[], lines: readonly string[]): unknown =>
    execFileSync('ip', [...family, '-n', netns, '-batch', '-'], { input: `${lines.join('\n')}\n` });
  batch(
    [],
    commands.filter((command) => !isIpv6(command)),
  );
  batch(
    ['-6'],
    commands.filter(isIpv6).map((command) => command.slice(ipv6Only.length)),
  );
}

const inNetns = (netns: string, command: string): void =>
  void execFileSync('ip', ['netns', 'exec', netns, 'sh', '-ec', command]);

const forwarding = `
  echo 1 > /proc/sys/net/ipv4/ip_forward
  echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
  for each in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $each; done
  echo 1 > /proc/sys/net/ipv4/conf/v${hostIfindex}/accept_local
  echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad`;

/** What the agent does to a node: devices without ARP, the range of the pods behind `weir_host`, tables for the marks. */
const nodeCommands = (podLinks: readonly Pod[]): string[] => [
  ...[`v${hostIfindex}`, `p${hostIfindex}`, ...podLinks.map(({ ifindex }) => `v${ifindex}`)].flatMap((device) => [
    `link set ${device} address ${gatewayMac} arp off`,
    `link set ${device} up`,
  ]),
  `address add ${uplinkNet.near}/24 dev v${uplinkIfindex}`,
  `address add ${uplinkNet.near6}/64 dev v${uplinkIfindex} nodad`,
  `link set v${uplinkIfindex} up`,
  `route add 10.1.0.0/24 dev p${hostIfindex} src ${host.ipv4}`,
  `-6 route add fd00:10:1::/64 dev p${hostIfindex} src ${host.ipv6}`,
  `route add default via ${uplinkNet.far}`,
  `-6 route add default via ${uplinkNet.far6}`,
  ...['', ipv6Only].flatMap((family) => [
    `${family}route add local default dev lo table 2004`,
    `${family}route add default dev p${hostIfindex} table 2005`,
    `${family}rule add pref 9 fwmark 0x200/0xf00 lookup 2004`,
    `${family}rule add pref 10 fwmark 0xa00/0xe00 lookup 2005`,
    // Marks come before the question whether an address is the node's own.
    `${family}rule add pref 100 lookup local`,
    `${family}rule del pref 0 lookup local`,
  ]),
];

/** What CNI does in a pod. The gateway answers for every address. */
const podCommands = (pod: Pod): string[] => [
  'link set lo up',
  `link set p${pod.ifindex} name eth0 address ${pod.mac}`,
  `address add ${pod.ipv4}/32 dev eth0`,
  `address add ${pod.ipv6}/128 dev eth0 nodad`,
  'link set eth0 up',
  'route add default via 169.254.1.1 dev eth0 onlink',
  '-6 route add default via fe80::1 dev eth0 onlink',
];

const outsideCommands = [
  'link set lo up',
  `address add ${uplinkNet.far}/24 dev p${uplinkIfindex}`,
  `address add ${uplinkNet.far6}/64 dev p${uplinkIfindex} nodad`,
  ...[world, remotePod].flatMap((party) => [
    `address add ${party.ipv4}/32 dev lo`,
    `address add ${party.ipv6}/128 dev lo`,
  ]),
  `link set p${uplinkIfindex} up`,
  `route add 10.1.0.0/24 via ${uplinkNet.near}`,
  `-6 route add fd00:10:1::/64 via ${uplinkNet.near6}`,
];

const programs: readonly { program: string; ifindex: number; direction?: 'ingress' | 'egress' }[] = [
  { program: 'weir_from_host', ifindex: hostIfindex },
  { program: 'weir_from_network', ifindex: uplinkIfindex },
  { program: 'weir_to_network', ifindex: uplinkIfindex, direction: 'egress' },
  { program: 'weir_from_pod', ifindex: client.ifindex },
  { program: 'weir_from_pod', ifindex: server.ifindex },
];

/** Puts real pods and a real outside on the interfaces of a packet node, and its programs where the agent puts them. */
export function connectWires(node: PacketNode): Wires {
  const name = node.netns.replace('/run/netns/', '');
  const names = { client: `${name}-client`, server: `${name}-server`, outside: `${name}-outside` };
  const links: Link[] = [];
  const made: string[] = [];
  const remove = (): void => {
    for (const link of links) link.close();
    for (const each of made) execFileSync('ip', ['netns', 'del', each]);
  };
  try {
    for (const each of Object.values(names)) {
      execFileSync('ip', ['netns', 'add', each]);
      made.push(each);
    }
    inNetns(name, forwarding);
    for (const pod of [client, server]) {
      ip(name, [`link set p${pod.ifindex} netns ${names[pod === client ? 'client' : 'server']}`]);
    }
    ip(name, [`link set p${uplinkIfindex} netns ${names.outside}`]);
    ip(name, nodeCommands([client, server]));
    ip(names.client, podCommands(client));
    ip(names.server, podCommands(server));
    ip(names.outside, outsideCommands);
    for (const { program, ifindex, direction = 'ingress' } of programs) {
      links.push(attachTc(node.object.program(program), { ifindex, direction, netns: node.netns }));
    }
  } catch (error) {
    remove();
    throw error;
  }
  const path = (each: string): string => `/run/netns/${each}`;
  return {
    node: node.netns,
    client: path(names.client),
    server: path(names.server),
    outside: path(names.outside),
    remove,
  };
}
