// SPDX-License-Identifier: Apache-2.0
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { WeirError } from '@weir/errors';
import { type Cidr, formatCidr, formatIpAddress, type IpAddress } from '@weir/model';
import {
  addVeth,
  deleteRule,
  ensureAddress,
  ensureRule,
  getLink,
  type Link,
  listAddresses,
  listLinks,
  listRoutes,
  type Netlink,
  type Operation,
  replaceRoute,
  setLink,
  tolerating,
} from '@weir/netlink';

/** MAC address of the gateway that every pod sees, and of all devices that stand for it (GATEWAY_MAC in bpf/lib). */
export const gatewayMac = 'ee:ee:ee:ee:ee:ee';

/** The device that the host reaches its pods through; its peer is where those packets are judged. */
export const hostDevice = { name: 'weir_host', peer: 'weir_net' } as const;

// Marks and tables: see docs/architecture.md "Proxy" and bpf/lib/packet.h.
const tables = { local: 255, toProxy: 2004, fromProxy: 2005 } as const;
const rulePriorities = { toProxy: 9, fromProxy: 10, local: 100 } as const;
const routeProtocol = 87;
const families = ['ipv4', 'ipv6'] as const;

/** One family's range of pod addresses, and the node's own address in it. */
export interface PodRange {
  readonly cidr: Cidr;
  readonly router: IpAddress;
}

export interface NodeNetworkOptions {
  readonly ipv4: PodRange;
  readonly ipv6: PodRange;
  /** Names of uplinks; undefined: the devices that default routes go through. */
  readonly devices: readonly string[] | undefined;
  /** Of pods, in bytes; undefined: that of the uplink without what the overlay adds. */
  readonly mtu: number | undefined;
  /** Packets to pods of other nodes are wrapped on their way. */
  readonly isOverlay: boolean;
}

export interface NodeNetwork {
  /** Of `weir_net`. */
  readonly hostIfindex: number;
  readonly uplinks: readonly { readonly name: string; readonly ifindex: number }[];
  readonly mtu: number;
}

const mtuDefault = 1500;

/** Writes `/proc/sys/net/<path>` unless it says so already: in a container the directory may be read-only, and right. */
export function setSysctl(path: string, value: string): void {
  const file = `/proc/sys/net/${path}`;
  try {
    if (readFileSync(file, 'utf8').trim() !== value) writeFileSync(file, value);
  } catch (cause) {
    throw new WeirError('FAILED_PRECONDITION', `Cannot set the kernel setting "${file}" to ${value}`, { cause });
  }
}

/** The value of `/proc/sys/net/<path>`; undefined where the device does not have that protocol. */
function sysctl(path: string): string | undefined {
  const file = `/proc/sys/net/${path}`;
  return existsSync(file) ? readFileSync(file, 'utf8').trim() : undefined;
}

/** Lets the node forward, and changes as little as possible for devices that are not ours. */
function setForwarding(others: readonly string[]): void {
  for (const name of others) {
    // A host that forwards stops listening to router advertisements; one that lives on them shall not lose its route.
    const isListening = sysctl(`ipv6/conf/${name}/forwarding`) === '0' && sysctl(`ipv6/conf/${name}/accept_ra`) === '1';
    if (isListening) setSysctl(`ipv6/conf/${name}/accept_ra`, '2');
  }
  setSysctl('ipv4/ip_forward', '1');
  setSysctl('ipv6/conf/all/forwarding', '1');
  // What the proxy sends carries its client's address: on our devices, where it may come from is judged by the programs.
  // The strictest of a device's setting and that of "all" counts, so "all" must be off; the others keep what it was.
  const all = sysctl('ipv4/conf/all/rp_filter') ?? '0';
  if (all === '0') return;
  for (const name of [...others, 'default']) {
    const path = `ipv4/conf/${name}/rp_filter`;
    const own = sysctl(path);
    if (own !== undefined && Number(own) < Number(all)) setSysctl(path, all);
  }
  setSysctl('ipv4/conf/all/rp_filter', '0');
}

/** Creates or repairs the pair; returns the two ends. */
async function ensureHostDevice(netlink: Netlink, mtu: number): Promise<{ host: Link; net: Link }> {
  const { name, peer } = hostDevice;
  const common = { macAddress: gatewayMac, noArp: true, mtu };
  await netlink.run(
    tolerating(addVeth({ name, ...common, peer: { name: peer, ...common } }), {
      code: 'ALREADY_EXISTS',
      result: undefined,
    }),
  );
  for (const device of [name, peer]) {
    setSysctl(`ipv6/conf/${device}/addr_gen_mode`, '1');
    setSysctl(`ipv4/conf/${device}/rp_filter`, '0');
  }
  // Packets of the host itself come up from weir_net when they are handed to the proxy.
  setSysctl(`ipv4/conf/${peer}/accept_local`, '1');
  const [, , host, net] = await netlink.batch([
    setLink({ name }, { ...common, up: true }),
    setLink({ name: peer }, { ...common, up: true }),
    getLink({ name }),
    getLink({ name: peer }),
  ]);
  return { host, net };
}

/*
 * Marked packets are routed before the kernel asks whether an address is its own: the rule for local addresses moves
 * from the front to behind ours. It is added there before it is taken away here, so that it is never missing.
 */
function ruleOperations(family: (typeof families)[number]): Operation<void>[] {
  const protocol = routeProtocol;
  return [
    ensureRule({ family, priority: rulePriorities.local, table: tables.local, protocol }),
    ensureRule({
      family,
      priority: rulePriorities.toProxy,
      table: tables.toProxy,
      mark: { value: 0x200, mask: 0xf00 },
      protocol,
    }),
    ensureRule({
      family,
      priority: rulePriorities.fromProxy,
      table: tables.fromProxy,
      mark: { value: 0xa00, mask: 0xe00 },
      protocol,
    }),
    tolerating(deleteRule({ family, priority: 0, table: tables.local }), { code: 'NOT_FOUND', result: undefined }),
  ];
}

function routeOperations(
  { cidr, router }: PodRange,
  devices: { readonly host: number; readonly loopback: number },
): Operation<void>[] {
  const source = formatIpAddress(router);
  const isIpv4 = !source.includes(':');
  const everything = isIpv4 ? '0.0.0.0/0' : '::/0';
  const protocol = routeProtocol;
  return [
    ensureAddress({ linkIndex: devices.host, address: `${source}/${isIpv4 ? 32 : 128}`, noDuplicateDetection: true }),
    replaceRoute({ destination: formatCidr(cidr), linkIndex: devices.host, preferredSource: source, protocol }),
    replaceRoute({
      destination: everything,
      type: 'local',
      table: tables.toProxy,
      linkIndex: devices.loopback,
      protocol,
    }),
    replaceRoute({ destination: everything, table: tables.fromProxy, linkIndex: devices.host, protocol }),
  ];
}

async function findUplinks(
  netlink: Netlink,
  { links, devices }: { readonly links: readonly Link[]; readonly devices: readonly string[] | undefined },
): Promise<Link[]> {
  if (devices !== undefined) {
    return devices.map((name) => {
      const link = links.find((each) => each.name === name);
      if (link !== undefined) return link;
      const known = links.map((each) => each.name).join(', ');
      throw new WeirError('INVALID_ARGUMENT', `--devices: "${name}" is not a device of this node; it has ${known}`);
    });
  }
  const routes = await netlink.run(listRoutes({ table: 254 }));
  const indexes = new Set(
    routes.filter((route) => /^(0\.0\.0\.0|::)\/0$/.test(route.destination)).map((route) => route.linkIndex),
  );
  return links.filter((link) => indexes.has(link.index) && !link.loopback && link.name !== hostDevice.name);
}

// Outer IP, UDP, VXLAN and inner Ethernet headers.
const overlayBytes = { ipv4: 50, ipv6: 70 } as const;

/** What wrapping adds to a packet: nodes send to each other over IPv4 where they can. */
async function overlayBytesOf(netlink: Netlink, uplinks: readonly Link[]): Promise<number> {
  const addresses = await netlink.run(listAddresses());
  const isReachable = addresses.some(
    ({ family, scope, linkIndex }) =>
      family === 'ipv4' && scope === 'global' && uplinks.some(({ index }) => index === linkIndex),
  );
  return overlayBytes[isReachable || uplinks.length === 0 ? 'ipv4' : 'ipv6'];
}

/**
 * Brings the node's own network in line: devices, addresses, routes, rules and kernel settings that the datapath stands
 * on. Idempotent, and never takes away what forwards packets now.
 */
export async function ensureNodeNetwork(netlink: Netlink, options: NodeNetworkOptions): Promise<NodeNetwork> {
  const links = await netlink.run(listLinks());
  const uplinks = await findUplinks(netlink, { links, devices: options.devices });
  const uplinkMtu = Math.min(...uplinks.map((link) => link.mtu), uplinks.length === 0 ? mtuDefault : Infinity);
  const mtu = options.mtu ?? uplinkMtu - (options.isOverlay ? await overlayBytesOf(netlink, uplinks) : 0);
  setForwarding(links.map(({ name }) => name).filter((name) => !/^weir(_host|_net|_vxlan|\d+)$/.test(name)));
  const { host, net } = await ensureHostDevice(netlink, mtu);
  const loopback = await netlink.run(getLink({ name: 'lo' }));
  await netlink.batch([
    setLink({ index: loopback.index }, { up: true }),
    ...[options.ipv4, options.ipv6].flatMap((range) =>
      routeOperations(range, { host: host.index, loopback: loopback.index }),
    ),
    ...families.flatMap(ruleOperations),
  ]);
  return {
    hostIfindex: net.index,
    uplinks: uplinks.map((link) => ({ name: link.name, ifindex: link.index })),
    mtu,
  };
}
