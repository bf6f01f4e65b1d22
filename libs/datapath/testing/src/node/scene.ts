// SPDX-License-Identifier: Apache-2.0
// Who there is in a packet test: three pods of the node, the node itself, and the world outside.

/** Tests that hold for both are written once and run for each. */
export const families = ['ipv4', 'ipv6'] as const;
export type Family = (typeof families)[number];

/** Somebody with an address in each family. */
export interface Party {
  readonly name: string;
  readonly ipv4: string;
  readonly ipv6: string;
  readonly identity: number;
  /** Which hook sees what it sends. */
  readonly place: 'pod' | 'host' | 'network';
}

/** A pod of the node. */
export interface Pod extends Party {
  readonly place: 'pod';
  readonly mac: string;
  /** Of the host side of its veth. */
  readonly ifindex: number;
  readonly id: number;
  readonly policySlot: number;
  readonly isAudited?: boolean;
  /** `traceDetail`. */
  readonly detail?: number;
}

/** The MAC address of everything of ours on the node, and so of every pod's gateway. */
export const gatewayMac = 'ee:ee:ee:ee:ee:ee';
export const routerMac = '52:54:00:00:00:fe';
export const uplinkMac = '52:54:00:00:00:01';

/** `weir_net`, and the device that the world is behind. */
export const hostIfindex = 50;
export const uplinkIfindex = 51;

const pod = (name: string, number: number): Pod => ({
  name,
  ipv4: `10.1.0.${number}`,
  ipv6: `fd00:10:1::${number.toString(16)}`,
  mac: `02:00:00:00:00:${number}`,
  identity: 1000 + number,
  ifindex: 100 + number,
  id: number,
  policySlot: number,
  place: 'pod',
});

export const client = pod('client', 11);
export const server = pod('server', 12);
export const other = pod('other', 13);
export const pods: readonly Pod[] = [client, server, other];

/** An address of the node. */
export const host: Party = { name: 'host', ipv4: '192.0.2.1', ipv6: '2001:db8::1', identity: 1, place: 'host' };

/** A pod of another node: known by its exact address. */
export const remotePod: Party = {
  name: 'remote pod',
  ipv4: '10.2.0.21',
  ipv6: 'fd00:10:2::15',
  identity: 2021,
  place: 'network',
};

/** Somebody in an address range that has an identity. */
export const office: Party = {
  name: 'office',
  ipv4: '198.51.100.7',
  ipv6: '2001:db8:51::7',
  identity: 0x1000001,
  place: 'network',
};
export const officeRanges = [
  { address: '198.51.100.0', length: 96 + 24 },
  { address: '2001:db8:51::', length: 48 },
] as const;

/** Somebody whom nothing is known of. */
export const world: Party = {
  name: 'world',
  ipv4: '203.0.113.9',
  ipv6: '2001:db8:ffff::9',
  identity: 2,
  place: 'network',
};

export const parties: readonly Party[] = [...pods, host, remotePod, office, world];
