// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';

/** 16 bytes in network order; IPv4 as `::ffff:a.b.c.d`. The form in which addresses are kept in maps. */
export type IpAddress = Uint8Array;

/** How many bytes an {@link IpAddress} has. */
export const ipAddressBytes = 16;

const ipv4Prefix = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

const [zero, nine, dot] = [0x30, 0x39, 0x2e] as const;

/** By hand, character by character: hundreds of thousands of addresses are read when a node starts. */
function parseIpv4(text: string): number[] | undefined {
  if (text.length < 7 || text.length > 15) return undefined;
  const octets: number[] = [];
  let value = 0;
  let digits = 0;
  for (let at = 0; at <= text.length; at++) {
    const code = at === text.length ? dot : text.charCodeAt(at);
    if (code === dot) {
      if (digits === 0 || value > 255) return undefined;
      octets.push(value);
      value = 0;
      digits = 0;
    } else {
      // A leading zero would mean octal to some.
      if (code < zero || code > nine || (digits > 0 && value === 0) || digits === 3) return undefined;
      value = value * 10 + code - zero;
      digits++;
    }
  }
  return octets.length === 4 ? octets : undefined;
}

/** The bytes of colon-separated groups, of which the last may be a dotted IPv4 address. */
function parseGroups(text: string, mayEndInIpv4: boolean): number[] | undefined {
  if (text === '') return [];
  const bytes: number[] = [];
  const groups = text.split(':');
  for (const [index, group] of groups.entries()) {
    if (/^[0-9a-fA-F]{1,4}$/.test(group)) {
      const value = Number.parseInt(group, 16);
      bytes.push(value >> 8, value & 0xff);
      continue;
    }
    const octets = mayEndInIpv4 && index === groups.length - 1 ? parseIpv4(group) : undefined;
    if (octets === undefined) return undefined;
    bytes.push(...octets);
  }
  return bytes;
}

function parseIpv6(text: string): number[] | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const [head = '', tail] = halves;
  const before = parseGroups(head, tail === undefined);
  if (before === undefined) return undefined;
  if (tail === undefined) return before.length === ipAddressBytes ? before : undefined;
  const after = parseGroups(tail, true);
  // The double colon stands for at least one group.
  if (after === undefined || before.length + after.length > ipAddressBytes - 2) return undefined;
  const zeros = new Array<number>(ipAddressBytes - before.length - after.length).fill(0);
  return [...before, ...zeros, ...after];
}

/** Reads an IPv4 or IPv6 address, or gives undefined: leading zeros, zones, and other short forms are not addresses. */
export function tryParseIpAddress(text: string): IpAddress | undefined {
  const octets = parseIpv4(text);
  if (octets !== undefined) {
    const address = new Uint8Array(ipAddressBytes);
    address[10] = 0xff;
    address[11] = 0xff;
    address.set(octets, ipv4Prefix.length);
    return address;
  }
  const bytes = parseIpv6(text);
  return bytes === undefined ? undefined : Uint8Array.from(bytes);
}

/** Reads an IPv4 or IPv6 address. Throws INVALID_ARGUMENT. */
export function parseIpAddress(text: string): IpAddress {
  const address = tryParseIpAddress(text);
  if (address === undefined) throw new WeirError('INVALID_ARGUMENT', `"${text}" is not an IPv4 or IPv6 address`);
  return address;
}

/** Makes an address of 4 or 16 bytes in network order. Throws INVALID_ARGUMENT. */
export function ipAddressFromBytes(bytes: Uint8Array): IpAddress {
  if (bytes.length === 4) return Uint8Array.from([...ipv4Prefix, ...bytes]);
  if (bytes.length === ipAddressBytes) return Uint8Array.from(bytes);
  throw new WeirError('INVALID_ARGUMENT', `An address of ${bytes.length} bytes; expected 4 or ${ipAddressBytes}`);
}

/** Whether an address is an IPv4 address in 16-byte form. */
export function isIpv4(address: IpAddress): boolean {
  return ipv4Prefix.every((byte, index) => address[index] === byte);
}

/** The 4 bytes of an IPv4 address or the 16 bytes of an IPv6 address: what goes into a packet. */
export function ipAddressWireBytes(address: IpAddress): Uint8Array {
  return isIpv4(address) ? address.subarray(ipv4Prefix.length) : address;
}

/** The longest run of zero groups, at least two long; the first of equally long ones (RFC 5952, section 4.2). */
function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: -1, length: 1 };
  for (let start = 0; start < groups.length; start++) {
    let length = 0;
    while (start + length < groups.length && groups[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
    start += length;
  }
  return best;
}

/** Writes an address in its one canonical form: dotted IPv4, or IPv6 by RFC 5952. */
export function formatIpAddress(address: IpAddress): string {
  if (isIpv4(address)) return address.subarray(ipv4Prefix.length).join('.');
  const groups = Array.from({ length: 8 }, (_, i) => ((address[2 * i] ?? 0) << 8) | (address[2 * i + 1] ?? 0));
  const hex = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(':');
  const run = longestZeroRun(groups);
  if (run.start < 0) return hex(groups);
  return `${hex(groups.slice(0, run.start))}::${hex(groups.slice(run.start + run.length))}`;
}

/** The address as a number, for arithmetic on ranges; IPv4 keeps its `::ffff:` prefix. */
export function ipAddressToBigInt(address: IpAddress): bigint {
  return address.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

/** The inverse of {@link ipAddressToBigInt}. */
export function ipAddressFromBigInt(value: bigint): IpAddress {
  const address = new Uint8Array(ipAddressBytes);
  for (let i = ipAddressBytes - 1, rest = value; i >= 0; i--, rest >>= 8n) address[i] = Number(rest & 0xffn);
  return address;
}
