// SPDX-License-Identifier: Apache-2.0
// What the generated codecs are made of: checks of a value before it is written, and moves that DataView lacks.
import { WeirError } from '@weir/errors';

function refuse(field: string, value: unknown, expected: string): never {
  throw new WeirError('INVALID_ARGUMENT', `${field} is ${String(value)}, expected ${expected}`);
}

function integer(field: string, value: number, range: { min: number; max: number }): number {
  if (!Number.isInteger(value) || value < range.min || value > range.max) {
    refuse(field, value, `an integer from ${range.min} to ${range.max}`);
  }
  return value;
}

const range = (bits: number, signed: boolean): { min: number; max: number } =>
  signed ? { min: -(2 ** (bits - 1)), max: 2 ** (bits - 1) - 1 } : { min: 0, max: 2 ** bits - 1 };
const ranges = {
  int8: range(8, true),
  int16: range(16, true),
  int32: range(32, true),
  uint8: range(8, false),
  uint16: range(16, false),
  uint32: range(32, false),
};

/** The value, if it fits into the type that the function is named after. */
export const int8 = (field: string, value: number): number => integer(field, value, ranges.int8);
export const int16 = (field: string, value: number): number => integer(field, value, ranges.int16);
export const int32 = (field: string, value: number): number => integer(field, value, ranges.int32);
export const uint8 = (field: string, value: number): number => integer(field, value, ranges.uint8);
export const uint16 = (field: string, value: number): number => integer(field, value, ranges.uint16);
export const uint32 = (field: string, value: number): number => integer(field, value, ranges.uint32);

/** The value, if it fits into 64 bits. */
export function uint64(field: string, value: bigint): bigint {
  return BigInt.asUintN(64, value) === value ? value : refuse(field, value, 'an integer from 0 to 2^64 - 1');
}

/** The value, if it fits into 64 bits with a sign. */
export function int64(field: string, value: bigint): bigint {
  return BigInt.asIntN(64, value) === value ? value : refuse(field, value, 'an integer from -2^63 to 2^63 - 1');
}

/** The list, if it has exactly that many elements. */
export function exactly<T extends { readonly length: number }>(field: string, list: T, length: number): T {
  return list.length === length ? list : refuse(field, `${list.length} long`, `${length}`);
}

/** A view of bytes in the buffer: it changes when the buffer does. */
export function bytesAt(view: DataView, offset: number, length: number): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset + offset, length);
}

/** Copies bytes into the buffer. */
export function putBytes(view: DataView, offset: number, bytes: Uint8Array): void {
  for (let index = 0; index < bytes.length; index++) view.setUint8(offset + index, bytes[index] ?? 0);
}

/** Clears bytes: padding of a key is compared by the kernel like everything else. */
export function putZeros(view: DataView, offset: number, length: number): void {
  for (let index = 0; index < length; index++) view.setUint8(offset + index, 0);
}

/** An unsigned 64-bit integer as a number; exact up to 2^53, which no counter of ours reaches. */
export function numberAt(view: DataView, offset: number): number {
  return view.getUint32(offset, true) + view.getUint32(offset + 4, true) * 2 ** 32;
}

/** As {@link numberAt}, for network byte order. */
export function bigEndianNumberAt(view: DataView, offset: number): number {
  return view.getUint32(offset, false) * 2 ** 32 + view.getUint32(offset + 4, false);
}
