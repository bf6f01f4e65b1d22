// SPDX-License-Identifier: Apache-2.0
import { concatenate } from './layers.ts';
import { internetChecksum } from './internet-checksum.ts';
import { ethernetBytes, etherType, ipProtocol } from './protocols.ts';

const ipv4Bytes = 20;
const ipv6Bytes = 40;

/**
 * Cuts a frame with a plain IP header (no options, no extension headers) into fragments, as a sender does. `size` is the
 * payload of all but the last, in bytes, a multiple of 8.
 */
export function fragmentPacket(
  frame: Uint8Array,
  { identification, size }: { readonly identification: number; readonly size: number },
): Uint8Array<ArrayBuffer>[] {
  const isIpv4 = new DataView(frame.buffer, frame.byteOffset).getUint16(12) === etherType.ipv4;
  const head = frame.slice(0, ethernetBytes + (isIpv4 ? ipv4Bytes : ipv6Bytes));
  const payload = frame.subarray(head.length);
  const fragments: Uint8Array<ArrayBuffer>[] = [];
  for (let offset = 0; offset < payload.length; offset += size) {
    const part = payload.subarray(offset, offset + size);
    const place = { identification, offset, more: offset + size < payload.length, part };
    fragments.push(isIpv4 ? ipv4Fragment(head, place) : ipv6Fragment(head, place));
  }
  return fragments;
}

interface Place {
  readonly identification: number;
  readonly offset: number;
  readonly more: boolean;
  readonly part: Uint8Array;
}

function ipv4Fragment(head: Uint8Array, { identification, offset, more, part }: Place): Uint8Array<ArrayBuffer> {
  const fragment = concatenate(head, part);
  const view = new DataView(fragment.buffer, ethernetBytes);
  view.setUint16(2, ipv4Bytes + part.length);
  view.setUint16(4, identification);
  view.setUint16(6, (more ? 0x2000 : 0) | (offset / 8));
  view.setUint16(10, 0);
  view.setUint16(10, internetChecksum(fragment.subarray(ethernetBytes, ethernetBytes + ipv4Bytes)));
  return fragment;
}

function ipv6Fragment(head: Uint8Array, { identification, offset, more, part }: Place): Uint8Array<ArrayBuffer> {
  const extension = new Uint8Array(8);
  const view = new DataView(extension.buffer);
  view.setUint8(0, head[ethernetBytes + 6] ?? 0);
  view.setUint16(2, offset | (more ? 1 : 0));
  view.setUint32(4, identification);
  const fragment = concatenate(head, extension, part);
  new DataView(fragment.buffer, ethernetBytes).setUint16(4, extension.length + part.length);
  fragment[ethernetBytes + 6] = ipProtocol.fragment;
  return fragment;
}
