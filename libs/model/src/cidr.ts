// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import {
  formatIpAddress,
  type IpAddress,
  ipAddressFromBigInt,
  ipAddressToBigInt,
  isIpv4,
  tryParseIpAddress,
} from './ip-address.ts';

/**
 * A prefix in 16-byte form: an IPv4 prefix /n has the prefix length 96 + n, so that `0.0.0.0/0` and `::/0` differ and one
 * longest-prefix-match table holds both families.
 */
export interface Cidr {
  /** All bits after the prefix are 0. */
  readonly address: IpAddress;
  /** 0–128. */
  readonly prefixLength: number;
}

const ipv4Shift = 96;
const addressBits = 128;

const hostMask = (prefixLength: number): bigint => (1n << BigInt(addressBits - prefixLength)) - 1n;

function clearHostBits(address: IpAddress, prefixLength: number): IpAddress {
  return ipAddressFromBigInt(ipAddressToBigInt(address) & ~hostMask(prefixLength));
}

/** Makes a prefix of any of its addresses; the bits after the prefix are cleared. */
export function createCidr(address: IpAddress, prefixLength: number): Cidr {
  if (!Number.isInteger(prefixLength) || prefixLength < 0 || prefixLength > addressBits) {
    throw new WeirError(
      'INVALID_ARGUMENT',
      `${prefixLength} is not a prefix length (0–${addressBits}) in 16-byte form`,
    );
  }
  return { address: clearHostBits(address, prefixLength), prefixLength };
}

/** The prefix that holds one address only. */
export function cidrOfAddress(address: IpAddress): Cidr {
  return { address, prefixLength: addressBits };
}

/** How {@link parseCidr} treats bits after the prefix: `10.0.0.1/8`. */
export interface ParseCidrOptions {
  /** Default `refuse`. */
  readonly hostBits?: 'refuse' | 'clear';
}

/** Reads `address/length` of either family. Throws INVALID_ARGUMENT that says what is wrong with it. */
export function parseCidr(text: string, options: ParseCidrOptions = {}): Cidr {
  const slash = text.indexOf('/');
  const address = slash < 0 ? undefined : tryParseIpAddress(text.slice(0, slash));
  const length = text.slice(slash + 1);
  if (address === undefined || !/^(0|[1-9]\d{0,2})$/.test(length)) {
    throw new WeirError(
      'INVALID_ARGUMENT',
      `"${text}" is not a prefix (address/length, as in 10.0.0.0/8 or fd00::/64)`,
    );
  }
  const shift = text.includes(':') ? 0 : ipv4Shift;
  const lengthMax = addressBits - shift;
  if (Number(length) > lengthMax) {
    throw new WeirError('INVALID_ARGUMENT', `"${text}" has the prefix length ${length}; expected at most ${lengthMax}`);
  }
  const cidr = createCidr(address, Number(length) + shift);
  if (options.hostBits !== 'clear' && cidr.address.some((byte, index) => byte !== address[index])) {
    throw new WeirError('INVALID_ARGUMENT', `"${text}" has bits set after its prefix; expected "${formatCidr(cidr)}"`);
  }
  return cidr;
}

/** Whether a prefix is of IPv4 addresses only. */
export function isIpv4Cidr(cidr: Cidr): boolean {
  return cidr.prefixLength >= ipv4Shift && isIpv4(cidr.address);
}

/** Writes `address/length` in canonical form. */
export function formatCidr(cidr: Cidr): string {
  const length = isIpv4Cidr(cidr) ? cidr.prefixLength - ipv4Shift : cidr.prefixLength;
  return `${formatIpAddress(cidr.address)}/${length}`;
}

/** Whether an address lies in a prefix. An IPv4 address lies in IPv4 prefixes only: `::/0` is not about it. */
export function cidrContains(cidr: Cidr, address: IpAddress): boolean {
  if (isIpv4Cidr(cidr) !== isIpv4(address)) return false;
  const wholeBytes = cidr.prefixLength >> 3;
  for (let i = 0; i < wholeBytes; i++) if (cidr.address[i] !== address[i]) return false;
  const bits = cidr.prefixLength & 7;
  if (bits === 0) return true;
  return (((cidr.address[wholeBytes] ?? 0) ^ (address[wholeBytes] ?? 0)) & (0xff00 >> bits) & 0xff) === 0;
}

/** Whether every address of one prefix lies in another. */
export function cidrContainsCidr(range: { readonly outer: Cidr; readonly inner: Cidr }): boolean {
  const { outer, inner } = range;
  const isNarrower = inner.prefixLength >= outer.prefixLength && isIpv4Cidr(inner) === isIpv4Cidr(outer);
  return isNarrower && cidrContains(outer, inner.address);
}

/** How many addresses a prefix has. */
export function cidrSize(cidr: Cidr): bigint {
  return hostMask(cidr.prefixLength) + 1n;
}

/** The address at a place of a prefix, counted from 0. Throws INVALID_ARGUMENT when the prefix has no such place. */
export function cidrAddressAt(cidr: Cidr, index: bigint): IpAddress {
  if (index < 0n || index >= cidrSize(cidr)) {
    throw new WeirError('INVALID_ARGUMENT', `${formatCidr(cidr)} has no address ${index}; it has ${cidrSize(cidr)}`);
  }
  return ipAddressFromBigInt(ipAddressToBigInt(cidr.address) + index);
}
