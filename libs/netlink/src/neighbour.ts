// SPDX-License-Identifier: Apache-2.0
import { splitBody } from './attributes.ts';
import { littleEndian } from './byte-order.ts';
import { familyName, familyNumber, familyOfBytes, ipBytes, macBytes, macText, type AddressFamily } from './ip-bytes.ts';
import { linkIndex } from './link-message.ts';
import { createMessageWriter, type MessageWriter } from './message-writer.ts';
import { nothing, type Operation } from './operation.ts';
import { NDA, NLM_F, NUD, RTM } from './rtnetlink-constants.ts';
import { withoutUndefined } from './without-undefined.ts';

/** A permanent neighbour: the MAC address behind an IP address, which the kernel never asks for or forgets. */
export interface Neighbour {
  readonly linkIndex: number;
  readonly address: string;
  readonly macAddress: string;
}

/** How sure the kernel is of a neighbour (`NUD_*`). */
export type NeighbourReachability = Lowercase<keyof typeof NUD> | 'none';

/** A neighbour as the kernel reports it. */
export interface NeighbourState {
  readonly family: AddressFamily;
  readonly linkIndex: number;
  readonly address: string;
  /** Missing while the kernel does not know it. */
  readonly macAddress?: string;
  readonly reachability: NeighbourReachability;
}

/** Which neighbours to list; what is left out does not restrict. */
export interface NeighbourFilter {
  readonly family?: AddressFamily;
  readonly linkIndex?: number;
}

const headerBytes = 12;

function writeHeader(writer: MessageWriter, values: { family: number; index?: number; state?: number }): void {
  const header = new DataView(new ArrayBuffer(headerBytes));
  header.setUint8(0, values.family);
  header.setInt32(4, values.index ?? 0, littleEndian);
  header.setUint16(8, values.state ?? 0, littleEndian);
  writer.raw(new Uint8Array(header.buffer));
}

function makeNeighbour(neighbour: Neighbour, flags: number): Uint8Array {
  const bytes = ipBytes('neighbour address', neighbour.address);
  const writer = createMessageWriter({ type: RTM.NEWNEIGH, flags: NLM_F.CREATE | flags });
  writeHeader(writer, {
    family: familyOfBytes(bytes),
    index: linkIndex('neighbour linkIndex', neighbour.linkIndex),
    state: NUD.PERMANENT,
  });
  writer.bytes(NDA.DST, bytes);
  writer.bytes(NDA.LLADDR, macBytes('neighbour macAddress', neighbour.macAddress));
  return writer.finish();
}

const title = (neighbour: Omit<Neighbour, 'macAddress'>): string =>
  `neighbour "${neighbour.address}" on link #${neighbour.linkIndex}`;

/** Adds a permanent neighbour; fails with `ALREADY_EXISTS` if the link has one of that address. */
export function addNeighbour(neighbour: Neighbour): Operation<void> {
  const message = makeNeighbour(neighbour, NLM_F.EXCL);
  return { description: `Adding ${title(neighbour)}`, message, isDump: false, decode: nothing };
}

/** Adds a permanent neighbour, in place of what the kernel believed about that address. */
export function replaceNeighbour(neighbour: Neighbour): Operation<void> {
  const message = makeNeighbour(neighbour, NLM_F.REPLACE);
  return { description: `Replacing ${title(neighbour)}`, message, isDump: false, decode: nothing };
}

/** Deletes a neighbour; fails with `NOT_FOUND` if the link has none of that address. */
export function deleteNeighbour(key: Omit<Neighbour, 'macAddress'>): Operation<void> {
  const bytes = ipBytes('neighbour address', key.address);
  const writer = createMessageWriter({ type: RTM.DELNEIGH });
  writeHeader(writer, { family: familyOfBytes(bytes), index: linkIndex('neighbour linkIndex', key.linkIndex) });
  writer.bytes(NDA.DST, bytes);
  return { description: `Deleting ${title(key)}`, message: writer.finish(), isDump: false, decode: nothing };
}

function reachabilityOf(state: number): NeighbourReachability {
  const names = Object.keys(NUD) as (keyof typeof NUD)[];
  const name = names.find((candidate) => (state & NUD[candidate]) !== 0);
  return name === undefined ? 'none' : (name.toLowerCase() as NeighbourReachability);
}

/** Reads the body of an RTM_NEWNEIGH or RTM_DELNEIGH message; undefined for what is no IPv4 or IPv6 neighbour. */
export function decodeNeighbour(body: Uint8Array): NeighbourState | undefined {
  const { fixed, attributes } = splitBody(body, headerBytes);
  const family = familyName(fixed.getUint8(0));
  const address = family === undefined ? undefined : attributes.ip(NDA.DST);
  if (family === undefined || address === undefined) return undefined;
  const macAddress = attributes.bytes(NDA.LLADDR);
  return {
    family,
    linkIndex: fixed.getInt32(4, littleEndian),
    address,
    ...withoutUndefined({ macAddress: macAddress === undefined ? undefined : macText(macAddress) }),
    reachability: reachabilityOf(fixed.getUint16(8, littleEndian)),
  };
}

/** Lists the neighbours of the namespace, without the multicast and broadcast addresses that need no resolution. */
export function listNeighbours({ family, linkIndex: index }: NeighbourFilter = {}): Operation<NeighbourState[]> {
  const writer = createMessageWriter({ type: RTM.GETNEIGH, flags: NLM_F.DUMP });
  writeHeader(writer, { family: familyNumber(family) });
  if (index !== undefined) writer.uint32(NDA.IFINDEX, linkIndex('filter linkIndex', index));
  const wanted = (neighbour: NeighbourState | undefined): neighbour is NeighbourState =>
    neighbour !== undefined &&
    neighbour.reachability !== 'noarp' &&
    (index === undefined || neighbour.linkIndex === index);
  return {
    description: 'Listing neighbours',
    message: writer.finish(),
    isDump: true,
    decode: (bodies) => bodies.map(decodeNeighbour).filter(wanted),
  };
}
