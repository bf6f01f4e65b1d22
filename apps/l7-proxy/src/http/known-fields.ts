// SPDX-License-Identifier: Apache-2.0
import { Byte, equalsIgnoringCase } from './bytes.ts';
import { ConnectionOption, type FieldSection } from './field-section.ts';
import { Problem } from './problem.ts';
import { TraceField } from './trace-fields.ts';

const ascii = (text: string): Uint8Array => Buffer.from(text, 'latin1');

const HOST = ascii('host');
const EXPECT = ascii('expect');
const UPGRADE = ascii('upgrade');
const CONNECTION = ascii('connection');
const CONTENT_LENGTH = ascii('content-length');
const TRANSFER_ENCODING = ascii('transfer-encoding');
const CHUNKED = ascii('chunked');
const CLOSE = ascii('close');
const KEEP_ALIVE = ascii('keep-alive');
const TRACEPARENT = ascii('traceparent');
const B3 = ascii('b3');
const B3_TRACE_ID = ascii('x-b3-traceid');
const B3_SPAN_ID = ascii('x-b3-spanid');
const B3_SAMPLED = ascii('x-b3-sampled');
const CONTINUE = ascii('100-continue');

// 15 digits stay exact in a double; nobody sends a petabyte in one message.
const contentLengthDigitsMax = 15;

const isBlank = (byte: number | undefined): boolean => byte === Byte.SPACE || byte === Byte.HTAB;

/**
 * Takes in the field line that the section has just read, whose value ends before `lineEnd`. Anything that two
 * implementations could frame differently is a problem, however often servers let it pass.
 */
export function recogniseField(section: FieldSection, bytes: Uint8Array, lineEnd: number): Problem | undefined {
  const { lineStart } = section;
  switch (section.nameEnd - lineStart) {
    case HOST.length:
      if (equalsIgnoringCase(bytes, lineStart, HOST)) readHost(section, bytes, lineEnd);
      return undefined;
    case EXPECT.length:
      if (equalsIgnoringCase(bytes, lineStart, EXPECT)) readExpect(section, bytes, lineEnd);
      return undefined;
    case UPGRADE.length:
      if (section.upgradeStart === -1 && equalsIgnoringCase(bytes, lineStart, UPGRADE))
        section.upgradeStart = lineStart;
      return undefined;
    case CONNECTION.length:
      if (equalsIgnoringCase(bytes, lineStart, CONNECTION)) readConnection(section, bytes, lineEnd);
      return undefined;
    case CONTENT_LENGTH.length:
      return equalsIgnoringCase(bytes, lineStart, CONTENT_LENGTH)
        ? readContentLength(section, bytes, lineEnd)
        : undefined;
    case TRANSFER_ENCODING.length:
      return equalsIgnoringCase(bytes, lineStart, TRANSFER_ENCODING)
        ? readTransferEncoding(section, bytes, lineEnd)
        : undefined;
    case B3.length:
    case TRACEPARENT.length:
    case B3_TRACE_ID.length:
      readTrace(section, bytes, lineEnd);
      return undefined;
    default:
      return undefined;
  }
}

const traceNames = [
  [TRACEPARENT, TraceField.TRACEPARENT],
  [B3, TraceField.B3],
  [B3_TRACE_ID, TraceField.B3_TRACE_ID],
  [B3_SPAN_ID, TraceField.B3_SPAN_ID],
  [B3_SAMPLED, TraceField.B3_SAMPLED],
] as const;

function readTrace(section: FieldSection, bytes: Uint8Array, lineEnd: number): void {
  const { lineStart, nameEnd } = section;
  for (const [name, field] of traceNames) {
    if (nameEnd - lineStart !== name.length || !equalsIgnoringCase(bytes, lineStart, name)) continue;
    section.trace.set(field, nameEnd + 1, lineEnd);
  }
}

function trimStart(bytes: Uint8Array, start: number, end: number): number {
  while (start < end && isBlank(bytes[start])) start++;
  return start;
}

function trimEnd(bytes: Uint8Array, start: number, end: number): number {
  while (end > start && isBlank(bytes[end - 1])) end--;
  return end;
}

function readHost(section: FieldSection, bytes: Uint8Array, lineEnd: number): void {
  section.hostCount++;
  section.hostStart = trimStart(bytes, section.nameEnd + 1, lineEnd);
  section.hostEnd = trimEnd(bytes, section.hostStart, lineEnd);
}

function readExpect(section: FieldSection, bytes: Uint8Array, lineEnd: number): void {
  const start = trimStart(bytes, section.nameEnd + 1, lineEnd);
  const end = trimEnd(bytes, start, lineEnd);
  if (end - start === CONTINUE.length && equalsIgnoringCase(bytes, start, CONTINUE)) section.expectContinue = true;
}

function readConnection(section: FieldSection, bytes: Uint8Array, lineEnd: number): void {
  let start = section.nameEnd + 1;
  while (start < lineEnd) {
    let comma = start;
    while (comma < lineEnd && bytes[comma] !== Byte.COMMA) comma++;
    const from = trimStart(bytes, start, comma);
    section.connection |= connectionOption(bytes, from, trimEnd(bytes, from, comma));
    start = comma + 1;
  }
}

function connectionOption(bytes: Uint8Array, start: number, end: number): number {
  switch (end - start) {
    case CLOSE.length:
      return equalsIgnoringCase(bytes, start, CLOSE) ? ConnectionOption.CLOSE : 0;
    case UPGRADE.length:
      return equalsIgnoringCase(bytes, start, UPGRADE) ? ConnectionOption.UPGRADE : 0;
    case KEEP_ALIVE.length:
      return equalsIgnoringCase(bytes, start, KEEP_ALIVE) ? ConnectionOption.KEEP_ALIVE : 0;
    default:
      return 0;
  }
}

function readContentLength(section: FieldSection, bytes: Uint8Array, lineEnd: number): Problem | undefined {
  if (section.contentLength !== -1) return Problem.TWO_CONTENT_LENGTHS;
  const start = trimStart(bytes, section.nameEnd + 1, lineEnd);
  const end = trimEnd(bytes, start, lineEnd);
  if (end === start || end - start > contentLengthDigitsMax) return Problem.CONTENT_LENGTH;
  let length = 0;
  for (let i = start; i < end; i++) {
    const byte = bytes[i] as number;
    if (byte < Byte.ZERO || byte > Byte.NINE) return Problem.CONTENT_LENGTH;
    length = length * 10 + (byte - Byte.ZERO);
  }
  section.contentLength = length;
  return section.chunked ? Problem.LENGTH_AND_ENCODING : undefined;
}

function readTransferEncoding(section: FieldSection, bytes: Uint8Array, lineEnd: number): Problem | undefined {
  if (section.chunked) return Problem.TWO_TRANSFER_ENCODINGS;
  const start = trimStart(bytes, section.nameEnd + 1, lineEnd);
  const end = trimEnd(bytes, start, lineEnd);
  if (end - start !== CHUNKED.length || !equalsIgnoringCase(bytes, start, CHUNKED)) return Problem.TRANSFER_ENCODING;
  section.chunked = true;
  return section.contentLength === -1 ? undefined : Problem.LENGTH_AND_ENCODING;
}
