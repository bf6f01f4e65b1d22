// SPDX-License-Identifier: Apache-2.0
import { bytesAt, exactly, int16, int32, int64, int8, putBytes, uint16, uint32, uint64, uint8 } from './field.ts';

/** Moves values between TypeScript and the bytes that the kernel sees, in buffers that the caller owns. */
export interface Codec<T> {
  /** Bytes of one value. */
  readonly size: number;
  /** Writes all `size` bytes from `offset` on; throws INVALID_ARGUMENT on a value that does not fit. */
  encode(into: DataView, offset: number, value: T): void;
  /** Reads a value that keeps no hold of the buffer. */
  decode(from: DataView, offset: number): T;
}

/** The bytes of one value, in a buffer of their own. */
export function toBytes<T>(codec: Codec<T>, value: T): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(codec.size);
  codec.encode(new DataView(bytes.buffer), 0, value);
  return bytes;
}

/** The value in a buffer that holds exactly one. */
export function fromBytes<T>(codec: Codec<T>, bytes: Uint8Array): T {
  exactly('The buffer', bytes, codec.size);
  return codec.decode(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), 0);
}

/** One byte; anything but zero is true. */
export const bool: Codec<boolean> = {
  size: 1,
  encode: (into, offset, value) => into.setUint8(offset, value ? 1 : 0),
  decode: (from, offset) => from.getUint8(offset) !== 0,
};

/** Unsigned, one byte. */
export const u8: Codec<number> = {
  size: 1,
  encode: (into, offset, value) => into.setUint8(offset, uint8('u8', value)),
  decode: (from, offset) => from.getUint8(offset),
};

/** Unsigned, host order. */
export const u16: Codec<number> = {
  size: 2,
  encode: (into, offset, value) => into.setUint16(offset, uint16('u16', value), true),
  decode: (from, offset) => from.getUint16(offset, true),
};

/** Unsigned, host order. */
export const u32: Codec<number> = {
  size: 4,
  encode: (into, offset, value) => into.setUint32(offset, uint32('u32', value), true),
  decode: (from, offset) => from.getUint32(offset, true),
};

/** Unsigned, host order. */
export const u64: Codec<bigint> = {
  size: 8,
  encode: (into, offset, value) => into.setBigUint64(offset, uint64('u64', value), true),
  decode: (from, offset) => from.getBigUint64(offset, true),
};

/** Signed, one byte. */
export const s8: Codec<number> = {
  size: 1,
  encode: (into, offset, value) => into.setInt8(offset, int8('s8', value)),
  decode: (from, offset) => from.getInt8(offset),
};

/** Signed, host order. */
export const s16: Codec<number> = {
  size: 2,
  encode: (into, offset, value) => into.setInt16(offset, int16('s16', value), true),
  decode: (from, offset) => from.getInt16(offset, true),
};

/** Signed, host order. */
export const s32: Codec<number> = {
  size: 4,
  encode: (into, offset, value) => into.setInt32(offset, int32('s32', value), true),
  decode: (from, offset) => from.getInt32(offset, true),
};

/** Signed, host order. */
export const s64: Codec<bigint> = {
  size: 8,
  encode: (into, offset, value) => into.setBigInt64(offset, int64('s64', value), true),
  decode: (from, offset) => from.getBigInt64(offset, true),
};

/** Unsigned, network order. */
export const be16: Codec<number> = {
  size: 2,
  encode: (into, offset, value) => into.setUint16(offset, uint16('be16', value), false),
  decode: (from, offset) => from.getUint16(offset, false),
};

/** Unsigned, network order. */
export const be32: Codec<number> = {
  size: 4,
  encode: (into, offset, value) => into.setUint32(offset, uint32('be32', value), false),
  decode: (from, offset) => from.getUint32(offset, false),
};

/** Unsigned, network order. */
export const be64: Codec<bigint> = {
  size: 8,
  encode: (into, offset, value) => into.setBigUint64(offset, uint64('be64', value), false),
  decode: (from, offset) => from.getBigUint64(offset, false),
};

/** Bytes of a fixed length, such as an address. */
export function byteArray(length: number): Codec<Uint8Array> {
  return {
    size: length,
    encode: (into, offset, value) => putBytes(into, offset, exactly('The byte array', value, length)),
    decode: (from, offset) => bytesAt(from, offset, length).slice(),
  };
}
