// SPDX-License-Identifier: Apache-2.0

/** The checksum of RFC 1071 over the parts one after the other; all but the last have an even length. */
export function internetChecksum(...parts: readonly Uint8Array[]): number {
  let sum = 0;
  for (const part of parts) {
    for (let index = 0; index < part.length; index += 2) sum += ((part[index] ?? 0) << 8) | (part[index + 1] ?? 0);
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return ~sum & 0xffff;
}

/** What a transport's checksum covers besides itself (RFC 9293 3.1, RFC 8200 8.1). Addresses have 4 or 16 bytes. */
export interface PseudoHeader {
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
}

/** The checksum of a TCP, UDP or ICMPv6 message whose checksum field is zero. */
export function transportChecksum(header: PseudoHeader, protocol: number, message: Uint8Array): number {
  const tail = new Uint8Array(8);
  const view = new DataView(tail.buffer);
  view.setUint32(0, message.length);
  view.setUint32(4, protocol);
  return internetChecksum(header.source, header.destination, tail, message);
}
