// SPDX-License-Identifier: Apache-2.0
import { formatIpAddress, type IpAddress } from '@weir/model';

const textsMax = 65_536;
const mappedPrefix = 0xffff;

/** Addresses in canonical form, out of the 16 bytes that the kernel has. A node sees the same ones again and again. */
export interface AddressTexts {
  /** The text of the address at a place. */
  at(view: DataView, offset: number): string;
}

const isMapped = (view: DataView, offset: number): boolean =>
  view.getUint32(offset) === 0 && view.getUint32(offset + 4) === 0 && view.getUint32(offset + 8) === mappedPrefix;

/** Keeps the last texts, so many at most. */
export function createAddressTexts(): AddressTexts {
  const ipv4 = new Map<number, string>();
  const ipv6 = new Map<string, string>();

  const remember = <Key>(texts: Map<Key, string>, key: Key, bytes: Uint8Array): string => {
    if (texts.size >= textsMax) texts.clear();
    const text = formatIpAddress(bytes as IpAddress);
    texts.set(key, text);
    return text;
  };

  return {
    at(view, offset) {
      const bytes = new Uint8Array(view.buffer, view.byteOffset + offset, 16);
      if (isMapped(view, offset)) {
        const key = view.getUint32(offset + 12);
        return ipv4.get(key) ?? remember(ipv4, key, bytes);
      }
      const key = Buffer.from(bytes.buffer, bytes.byteOffset, 16).toString('latin1');
      return ipv6.get(key) ?? remember(ipv6, key, bytes);
    },
  };
}
