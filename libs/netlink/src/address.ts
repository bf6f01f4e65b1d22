// SPDX-License-Identifier: Apache-2.0
import { splitBody } from './attributes.ts';
import { littleEndian } from './byte-order.ts';
import { familyName, familyNumber, prefixBytes, type AddressFamily } from './ip-bytes.ts';
import { linkIndex } from './link-message.ts';
import { createMessageWriter } from './message-writer.ts';
import { nothing, tolerating, type Operation } from './operation.ts';
import { IFA, IFA_F, NLM_F, RTM } from './rtnetlink-constants.ts';
import { scopeName, scopeNumber, type Scope } from './scope.ts';

/** An address on a link: given to the kernel and read from it. */
export interface Address {
  readonly linkIndex: number;
  /** The address with the length of its network, like `10.0.0.2/24` or `fd00::2/128`. */
  readonly address: string;
  /** How far the address means something. Default: global. */
  readonly scope?: Scope;
  /** Usable at once, without asking the neighbours whether it is taken (IPv6). */
  readonly noDuplicateDetection?: boolean;
  /** The kernel adds no route for the network of the address. */
  readonly noPrefixRoute?: boolean;
}

/** An address as the kernel reports it. */
export interface AddressState extends Required<Address> {
  readonly family: AddressFamily;
  /** Still being checked for duplicates, or found to be one: it cannot be used (IPv6). */
  readonly tentative: boolean;
}

/** Which addresses to list; what is left out does not restrict. */
export interface AddressFilter {
  readonly family?: AddressFamily;
  readonly linkIndex?: number;
}

const headerBytes = 8;

function addressHeader(values: { family: number; lengthBits?: number; scope?: number; index?: number }): Uint8Array {
  const header = new DataView(new ArrayBuffer(headerBytes));
  header.setUint8(0, values.family);
  header.setUint8(1, values.lengthBits ?? 0);
  header.setUint8(3, values.scope ?? 0);
  header.setUint32(4, values.index ?? 0, littleEndian);
  return new Uint8Array(header.buffer);
}

function addressMessage(address: Address, header: { type: number; flags?: number }): Uint8Array {
  const { family, bytes, lengthBits } = prefixBytes('address', address.address);
  const index = linkIndex('address linkIndex', address.linkIndex);
  const writer = createMessageWriter(header);
  writer.raw(
    addressHeader({ family, lengthBits, scope: scopeNumber('address scope', address.scope ?? 'global'), index }),
  );
  writer.bytes(IFA.LOCAL, bytes);
  writer.bytes(IFA.ADDRESS, bytes);
  const flags =
    (address.noDuplicateDetection === true ? IFA_F.NODAD : 0) |
    (address.noPrefixRoute === true ? IFA_F.NOPREFIXROUTE : 0);
  if (flags !== 0) writer.uint32(IFA.FLAGS, flags);
  return writer.finish();
}

const title = (address: Address): string => `address "${address.address}" on link #${address.linkIndex}`;

/** Adds an address; fails with `ALREADY_EXISTS` if the link has it. */
export function addAddress(address: Address): Operation<void> {
  const message = addressMessage(address, { type: RTM.NEWADDR, flags: NLM_F.CREATE | NLM_F.EXCL });
  return { description: `Adding ${title(address)}`, message, isDump: false, decode: nothing };
}

/** Adds an address unless the link has it. */
export function ensureAddress(address: Address): Operation<void> {
  return tolerating(addAddress(address), { code: 'ALREADY_EXISTS', result: undefined });
}

/** Deletes an address; fails with `NOT_FOUND` if the link does not have it. */
export function deleteAddress(address: Pick<Address, 'linkIndex' | 'address'>): Operation<void> {
  const message = addressMessage(address, { type: RTM.DELADDR });
  return { description: `Deleting ${title(address)}`, message, isDump: false, decode: nothing };
}

/** Reads the body of an RTM_NEWADDR or RTM_DELADDR message; undefined for a family that is neither IPv4 nor IPv6. */
export function decodeAddress(body: Uint8Array): AddressState | undefined {
  const { fixed, attributes } = splitBody(body, headerBytes);
  const family = familyName(fixed.getUint8(0));
  // On a point-to-point link IFA_ADDRESS is the other end; IFA_LOCAL, where there is one, is always our own.
  const ip = family === undefined ? undefined : (attributes.ip(IFA.LOCAL) ?? attributes.ip(IFA.ADDRESS));
  if (family === undefined || ip === undefined) return undefined;
  const flags = attributes.uint32(IFA.FLAGS) ?? fixed.getUint8(2);
  return {
    family,
    linkIndex: fixed.getUint32(4, littleEndian),
    address: `${ip}/${fixed.getUint8(1)}`,
    scope: scopeName(fixed.getUint8(3)),
    noDuplicateDetection: (flags & IFA_F.NODAD) !== 0,
    noPrefixRoute: (flags & IFA_F.NOPREFIXROUTE) !== 0,
    tentative: (flags & (IFA_F.TENTATIVE | IFA_F.DADFAILED)) !== 0,
  };
}

/** Lists addresses of the namespace. */
export function listAddresses({ family, linkIndex: index }: AddressFilter = {}): Operation<AddressState[]> {
  const writer = createMessageWriter({ type: RTM.GETADDR, flags: NLM_F.DUMP });
  const wantedIndex = index === undefined ? 0 : linkIndex('filter linkIndex', index);
  writer.raw(addressHeader({ family: familyNumber(family), index: wantedIndex }));
  return {
    description: 'Listing addresses',
    message: writer.finish(),
    isDump: true,
    decode: (bodies) =>
      bodies
        .map(decodeAddress)
        .filter((address) => address !== undefined && (index === undefined || address.linkIndex === index))
        .filter((address) => address !== undefined),
  };
}
