// SPDX-License-Identifier: Apache-2.0
import { assert } from '@weir/errors';
import { littleEndian } from './byte-order.ts';
import { NLM_F } from './rtnetlink-constants.ts';

const messageHeaderBytes = 16;
const attributeHeaderBytes = 4;
const attributeBytesMax = 0xffff;
const nestedFlag = 0x8000;
const initialBytes = 256;

/** Type and flags of a netlink message; `NLM_F_REQUEST | NLM_F_ACK` are always set. */
export interface MessageHeader {
  readonly type: number;
  readonly flags?: number;
}

/**
 * Builds one netlink message: header, then `raw()` for the fixed part, then attributes. Numbers are written in the
 * machine's byte order unless the method says otherwise. Sequence number and port are left zero for the socket to fill in.
 */
export interface MessageWriter {
  /** Appends a fixed structure (ifinfomsg …), padded to four bytes. */
  raw(bytes: Uint8Array): void;
  /** An attribute with no payload: its presence is the value. */
  flag(type: number): void;
  uint8(type: number, value: number): void;
  uint16NetworkOrder(type: number, value: number): void;
  uint32(type: number, value: number): void;
  /** A NUL-terminated string. */
  text(type: number, value: string): void;
  bytes(type: number, value: Uint8Array): void;
  /** An attribute whose payload is what `fill` writes. */
  nested(type: number, fill: () => void): void;
  /** The finished message; the writer must not be used afterwards. */
  finish(): Uint8Array;
}

const align = (length: number): number => (length + 3) & ~3;

/** Starts a netlink message of the given type. */
export function createMessageWriter(header: MessageHeader): MessageWriter {
  let buffer = new Uint8Array(initialBytes);
  let view = new DataView(buffer.buffer);
  let used = messageHeaderBytes;

  /** Makes room for `length` bytes, padded, and returns where they start. New bytes are zero, so the padding is too. */
  function reserve(length: number): number {
    const start = used;
    used = start + align(length);
    if (used > buffer.length) {
      const grown = new Uint8Array(Math.max(buffer.length * 2, used));
      grown.set(buffer);
      buffer = grown;
      view = new DataView(buffer.buffer);
    }
    return start;
  }

  function attribute(type: number, payloadBytes: number): number {
    const length = attributeHeaderBytes + payloadBytes;
    assert(length <= attributeBytesMax, `netlink attribute ${type} of ${payloadBytes} bytes fits 16 bits of length`);
    const start = reserve(length);
    view.setUint16(start, length, littleEndian);
    view.setUint16(start + 2, type, littleEndian);
    return start + attributeHeaderBytes;
  }

  const bytes = (type: number, value: Uint8Array): void => {
    const at = attribute(type, value.length);
    buffer.set(value, at);
  };

  return {
    raw: (value) => {
      const at = reserve(value.length);
      buffer.set(value, at);
    },
    flag: (type) => void attribute(type, 0),
    uint8: (type, value) => {
      const at = attribute(type, 1);
      view.setUint8(at, value);
    },
    uint16NetworkOrder: (type, value) => {
      const at = attribute(type, 2);
      view.setUint16(at, value, false);
    },
    uint32: (type, value) => {
      const at = attribute(type, 4);
      view.setUint32(at, value, littleEndian);
    },
    text: (type, value) => {
      bytes(type, new TextEncoder().encode(`${value}\0`));
    },
    bytes,
    nested: (type, fill) => {
      const payload = attribute(type | nestedFlag, 0);
      fill();
      const length = used - payload + attributeHeaderBytes;
      assert(length <= attributeBytesMax, `nested netlink attribute ${type} fits 16 bits of length`);
      view.setUint16(payload - attributeHeaderBytes, length, littleEndian);
    },
    finish: () => {
      view.setUint32(0, used, littleEndian);
      view.setUint16(4, header.type, littleEndian);
      view.setUint16(6, (header.flags ?? 0) | NLM_F.REQUEST | NLM_F.ACK, littleEndian);
      return buffer.subarray(0, used);
    },
  };
}
