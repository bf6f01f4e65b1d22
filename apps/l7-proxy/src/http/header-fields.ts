// SPDX-License-Identifier: Apache-2.0
import { Byte } from './bytes.ts';
import type { RequestHead } from './request-head.ts';

/** A field line of a head, where it lies. */
export interface HeaderField {
  /** Lower case. */
  readonly name: string;
  /** As bytes: one character each. */
  readonly value: string;
  readonly start: number;
  /** Behind the line's end. */
  readonly end: number;
}

const lineEndLength = 2;
// " HTTP/1.1\r\n" behind the target.
const versionLength = 11;

/** The first byte of the field lines of a head that has been read. */
export const fieldsStart = ({ targetEnd }: RequestHead): number => targetEnd + versionLength;

const isBlank = (byte: number | undefined): boolean => byte === Byte.SPACE || byte === Byte.HTAB;

/** Blanks around a value do not belong to it (RFC 9110 5.5). No regular expression: those take long for many blanks. */
function withoutBlanks(bytes: Buffer, from: number, to: number): [start: number, end: number] {
  let [start, end] = [from, to];
  while (start < end && isBlank(bytes[start])) start++;
  while (end > start && isBlank(bytes[end - 1])) end--;
  return [start, end];
}

/** All fields of a head that has been read and found good, in their order. */
export function readHeaderFields(head: RequestHead, bytes: Buffer): HeaderField[] {
  const fields: HeaderField[] = [];
  const last = head.end - lineEndLength;
  for (let start = fieldsStart(head); start < last;) {
    const colon = bytes.indexOf(Byte.COLON, start);
    const end = bytes.indexOf(Byte.LF, colon) + 1;
    const value = bytes.toString('latin1', ...withoutBlanks(bytes, colon + 1, end - lineEndLength));
    fields.push({ name: bytes.toString('latin1', start, colon).toLowerCase(), value, start, end });
    start = end;
  }
  return fields;
}
