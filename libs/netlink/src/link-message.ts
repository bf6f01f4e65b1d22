// SPDX-License-Identifier: Apache-2.0
import { littleEndian } from './byte-order.ts';
import { linkName, wholeNumber } from './field.ts';
import { macBytes } from './ip-bytes.ts';
import type { MessageWriter } from './message-writer.ts';
import { IFF, IFLA } from './rtnetlink-constants.ts';

/** A network namespace that is open: what `openNetworkNamespace()` of `@weir/bpf-loader-node` returns. */
export interface OpenNetworkNamespace {
  readonly fd: number;
}

/** Names a link that exists, in the namespace of the netlink socket. */
export type LinkTarget = { readonly name: string } | { readonly index: number };

/** What can be set on a link when it is made and later; what is left out stays as it is. */
export interface LinkSettings {
  readonly up?: boolean;
  /** Bytes of payload, without the Ethernet header. */
  readonly mtu?: number;
  readonly macAddress?: string;
  /** Set: the link sends no ARP requests and no neighbour solicitations. */
  readonly noArp?: boolean;
  /** Index of the bridge (or other master) the link is a port of; 0 takes it out. */
  readonly masterIndex?: number;
  /** A number that links have in common, to delete them together. Default: 0. */
  readonly group?: number;
  /** Where the link lives. */
  readonly netns?: OpenNetworkNamespace;
}

/** Size of struct ifinfomsg, with which every link message starts. */
export const linkHeaderBytes = 16;

const indexMax = 0x7fff_ffff;
const mtuMax = 0x7fff_ffff;

/** Returns `index` if it can be a link's; throws `INVALID_ARGUMENT` otherwise. */
export function linkIndex(field: string, index: number): number {
  return wholeNumber(field, index, { min: 1, max: indexMax });
}

/** How error messages call this link: `"eth0"`, or `#7`. */
export function linkTitle(target: LinkTarget): string {
  return 'name' in target ? `"${target.name}"` : `#${target.index}`;
}

/** Appends struct ifinfomsg. */
export function writeLinkHeader(
  writer: MessageWriter,
  { index = 0, up, noArp }: LinkSettings & { index?: number },
): void {
  const header = new DataView(new ArrayBuffer(linkHeaderBytes));
  header.setInt32(4, index, littleEndian);
  header.setUint32(8, (up === true ? IFF.UP : 0) | (noArp === true ? IFF.NOARP : 0), littleEndian);
  header.setUint32(12, (up === undefined ? 0 : IFF.UP) | (noArp === undefined ? 0 : IFF.NOARP), littleEndian);
  writer.raw(new Uint8Array(header.buffer));
}

/** Appends the header and, where the link is known by name, the name. */
export function writeLinkTarget(writer: MessageWriter, target: LinkTarget & LinkSettings): void {
  if ('name' in target) {
    writeLinkHeader(writer, target);
    writer.text(IFLA.IFNAME, linkName('link name', target.name));
  } else {
    writeLinkHeader(writer, { ...target, index: linkIndex('link index', target.index) });
  }
}

/** Appends the attributes of the settings; `up` and `noArp` are in the header. */
export function writeLinkSettings(writer: MessageWriter, settings: LinkSettings): void {
  const { mtu, macAddress, masterIndex, group, netns } = settings;
  if (mtu !== undefined) writer.uint32(IFLA.MTU, wholeNumber('link mtu', mtu, { min: 1, max: mtuMax }));
  if (macAddress !== undefined) writer.bytes(IFLA.ADDRESS, macBytes('link macAddress', macAddress));
  if (masterIndex !== undefined) {
    writer.uint32(IFLA.MASTER, wholeNumber('link masterIndex', masterIndex, { max: indexMax }));
  }
  if (group !== undefined) writer.uint32(IFLA.GROUP, wholeNumber('link group', group, { max: indexMax }));
  if (netns !== undefined) writer.uint32(IFLA.NET_NS_FD, netns.fd);
}
