// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { littleEndian } from './byte-order.ts';
import { ipText } from './ip-bytes.ts';

const attributeHeaderBytes = 4;
const typeMask = 0x3fff;

/**
 * The attributes of a message or of a nested attribute, by type. Every getter returns undefined for an attribute that is
 * not there and throws `INTERNAL` for one whose length is wrong. Where a type repeats, the last one counts, as in the
 * kernel.
 */
export interface Attributes {
  has(type: number): boolean;
  uint8(type: number): number | undefined;
  uint16NetworkOrder(type: number): number | undefined;
  uint32(type: number): number | undefined;
  int32(type: number): number | undefined;
  /** A string up to its NUL, or to the end of the attribute. */
  text(type: number): string | undefined;
  /** The text of an IPv4 or IPv6 address. */
  ip(type: number): string | undefined;
  /** The payload, as a view of the message. */
  bytes(type: number): Uint8Array | undefined;
  /** The attributes inside this one. */
  nested(type: number): Attributes | undefined;
}

const malformed = (what: string): WeirError => new WeirError('INTERNAL', `Malformed netlink message: ${what}`);

function index(area: Uint8Array): Map<number, Uint8Array> {
  const view = new DataView(area.buffer, area.byteOffset, area.byteLength);
  const payloads = new Map<number, Uint8Array>();
  let at = 0;
  while (at + attributeHeaderBytes <= area.length) {
    const length = view.getUint16(at, littleEndian);
    if (length < attributeHeaderBytes || at + length > area.length) {
      throw malformed(`attribute at offset ${at} has length ${length}, ${area.length - at} bytes are left`);
    }
    payloads.set(
      view.getUint16(at + 2, littleEndian) & typeMask,
      area.subarray(at + attributeHeaderBytes, at + length),
    );
    at += (length + 3) & ~3;
  }
  return payloads;
}

/** Parses a run of attributes (nlattr); throws `INTERNAL` when one reaches beyond the end. Trailing padding is ignored. */
export function parseAttributes(area: Uint8Array): Attributes {
  const payloads = index(area);

  function sized(type: number, length: number): DataView | undefined {
    const payload = payloads.get(type);
    if (payload === undefined) return undefined;
    if (payload.length !== length) {
      throw malformed(`attribute ${type} has ${payload.length} bytes, expected ${length}`);
    }
    return new DataView(payload.buffer, payload.byteOffset, length);
  }

  return {
    has: (type) => payloads.has(type),
    uint8: (type) => sized(type, 1)?.getUint8(0),
    uint16NetworkOrder: (type) => sized(type, 2)?.getUint16(0, false),
    uint32: (type) => sized(type, 4)?.getUint32(0, littleEndian),
    int32: (type) => sized(type, 4)?.getInt32(0, littleEndian),
    text: (type) => {
      const payload = payloads.get(type);
      if (payload === undefined) return undefined;
      const end = payload.indexOf(0);
      return new TextDecoder().decode(end < 0 ? payload : payload.subarray(0, end));
    },
    ip: (type) => {
      const payload = payloads.get(type);
      if (payload === undefined) return undefined;
      if (payload.length !== 4 && payload.length !== 16) {
        throw malformed(`attribute ${type} has ${payload.length} bytes, expected an address of 4 or 16`);
      }
      return ipText(payload);
    },
    bytes: (type) => payloads.get(type),
    nested: (type) => {
      const payload = payloads.get(type);
      return payload === undefined ? undefined : parseAttributes(payload);
    },
  };
}

/** Splits the body of a message into its fixed part of `fixedBytes` bytes and its attributes. */
export function splitBody(body: Uint8Array, fixedBytes: number): { fixed: DataView; attributes: Attributes } {
  if (body.length < fixedBytes) throw malformed(`body has ${body.length} bytes, expected at least ${fixedBytes}`);
  return {
    fixed: new DataView(body.buffer, body.byteOffset, fixedBytes),
    attributes: parseAttributes(body.subarray((fixedBytes + 3) & ~3)),
  };
}
