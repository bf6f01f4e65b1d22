// SPDX-License-Identifier: Apache-2.0
import { formatIpAddress, ipAddressFromBytes, ipAddressWireBytes, tryParseIpAddress } from '@weir/model';
import { invalidField } from './field.ts';
import { AF } from './rtnetlink-constants.ts';

/** The two address families this library speaks. */
export type AddressFamily = 'ipv4' | 'ipv6';

/** An address prefix as the kernel wants it: family number, address in network byte order, prefix length in bits. */
export interface PrefixBytes {
  readonly family: number;
  readonly bytes: Uint8Array;
  readonly lengthBits: number;
}

/** The 4 or 16 bytes of an address in text form, in network byte order; throws `INVALID_ARGUMENT` naming `field`. */
export function ipBytes(field: string, text: string): Uint8Array {
  const address = typeof text === 'string' ? tryParseIpAddress(text) : undefined;
  if (address === undefined) throw invalidField(field, { value: text, expected: 'an IPv4 or IPv6 address' });
  return ipAddressWireBytes(address);
}

/** The canonical text of 4 or 16 address bytes. */
export function ipText(bytes: Uint8Array): string {
  return formatIpAddress(ipAddressFromBytes(bytes));
}

/** The address family number of 4 or 16 address bytes. */
export function familyOfBytes(bytes: Uint8Array): number {
  return bytes.length === 4 ? AF.INET : AF.INET6;
}

/** The name of an address family number, or undefined for one that is neither IPv4 nor IPv6. */
export function familyName(family: number): AddressFamily | undefined {
  if (family === AF.INET) return 'ipv4';
  return family === AF.INET6 ? 'ipv6' : undefined;
}

/** The number of a family name; `AF_UNSPEC`, which means both, when there is none. */
export function familyNumber(family: AddressFamily | undefined): number {
  if (family === undefined) return AF.UNSPEC;
  return family === 'ipv4' ? AF.INET : AF.INET6;
}

/** Reads `address/length`; host bits may be set. Throws `INVALID_ARGUMENT` naming `field`. */
export function prefixBytes(field: string, text: string): PrefixBytes {
  const [address = '', length, ...rest] = typeof text === 'string' ? text.split('/') : [];
  const lengthBits = length !== undefined && /^\d{1,3}$/u.test(length) ? Number(length) : Number.NaN;
  if (rest.length > 0 || Number.isNaN(lengthBits)) {
    throw invalidField(field, { value: text, expected: 'an address prefix like "10.0.0.0/24" or "fd00::/64"' });
  }
  const bytes = ipBytes(field, address);
  if (lengthBits > bytes.length * 8) {
    throw invalidField(field, { value: text, expected: `a prefix length of 0 to ${bytes.length * 8} bits` });
  }
  return { family: familyOfBytes(bytes), bytes, lengthBits };
}

/** Like {@link prefixBytes}, for a route's or a rule's prefix: throws if bits behind the prefix length are set. */
export function networkBytes(field: string, text: string): PrefixBytes {
  const prefix = prefixBytes(field, text);
  const hostBits = (at: number): number => 0xff >> Math.min(8, Math.max(0, prefix.lengthBits - at * 8));
  if (prefix.bytes.some((byte, at) => (byte & hostBits(at)) !== 0))
    throw invalidField(field, { value: text, expected: 'a prefix whose host bits are zero' });
  return prefix;
}

/** The six bytes of a MAC address like `ee:ee:ee:ee:ee:ee`; throws `INVALID_ARGUMENT` naming `field`. */
export function macBytes(field: string, text: string): Uint8Array {
  if (typeof text !== 'string' || !/^[\da-f]{2}(:[\da-f]{2}){5}$/iu.test(text)) {
    throw invalidField(field, { value: text, expected: 'a MAC address like "0a:58:0a:00:00:01"' });
  }
  return Uint8Array.from(text.split(':').map((byte) => Number.parseInt(byte, 16)));
}

/** The text of a hardware address of any length. */
export function macText(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':');
}
