// SPDX-License-Identifier: Apache-2.0
import { Byte, fieldValueBytes, tokenBytes } from './bytes.ts';
import { FieldAt, type FieldSection } from './field-section.ts';
import { recogniseField } from './known-fields.ts';
import { Problem } from './problem.ts';

/** How far a parser came with the bytes that are there. After BAD, `problem` says why. */
export const Progress = { MORE: 0, DONE: 1, BAD: 2 } as const;
export type Progress = (typeof Progress)[keyof typeof Progress];

/**
 * Reads field lines up to and with the empty line, looking at each byte once: after MORE, call it again when there are
 * more bytes behind the same ones. `end` is the first byte that is not there yet.
 */
export function parseFieldSection(section: FieldSection, bytes: Uint8Array, end: number): Progress {
  let { at, position } = section;
  for (;;) {
    if (position === end) return suspend(section, at, position);
    if (at === FieldAt.LINE) {
      if (bytes[position] === Byte.CR) {
        at = FieldAt.END_LF;
        if (++position === end) return suspend(section, at, position);
      } else {
        const problem = beginLine(section, position, bytes[position] as number);
        if (problem !== undefined) return bad(section, problem);
        at = FieldAt.NAME;
      }
    }
    if (at === FieldAt.NAME) {
      while (position < end && tokenBytes[bytes[position] as number] === 1) position++;
      if (position === end) return suspend(section, at, position);
      if (bytes[position] !== Byte.COLON) return bad(section, nameProblem(bytes[position] as number));
      section.nameEnd = position++;
      at = FieldAt.VALUE;
    }
    if (at === FieldAt.VALUE) {
      while (position < end && fieldValueBytes[bytes[position] as number] === 1) position++;
      if (position === end) return suspend(section, at, position);
      if (bytes[position] !== Byte.CR) return bad(section, valueProblem(bytes[position] as number));
      at = FieldAt.VALUE_LF;
      if (++position === end) return suspend(section, at, position);
    }
    if (bytes[position] !== Byte.LF) return bad(section, Problem.BARE_CR);
    position++;
    if (at === FieldAt.END_LF) {
      section.position = position;
      return Progress.DONE;
    }
    const problem = recogniseField(section, bytes, position - 2);
    if (problem !== undefined) return bad(section, problem);
    at = FieldAt.LINE;
  }
}

function suspend(section: FieldSection, at: FieldAt, position: number): Progress {
  section.at = at;
  section.position = position;
  return Progress.MORE;
}

function bad(section: FieldSection, problem: Problem): Progress {
  section.problem = problem;
  return Progress.BAD;
}

function beginLine(section: FieldSection, position: number, byte: number): Problem | undefined {
  if (byte === Byte.LF) return Problem.BARE_LF;
  if (byte === Byte.SPACE || byte === Byte.HTAB) return Problem.FOLDED_LINE;
  if (tokenBytes[byte] === 0) return Problem.FIELD_NAME;
  if (section.count === section.fieldsMax) return Problem.TOO_MANY_FIELDS;
  section.count++;
  section.lineStart = position;
  return undefined;
}

function nameProblem(byte: number): Problem {
  if (byte === Byte.SPACE || byte === Byte.HTAB) return Problem.SPACE_BEFORE_COLON;
  if (byte === Byte.CR || byte === Byte.LF) return Problem.FIELD_WITHOUT_COLON;
  return Problem.FIELD_NAME;
}

const valueProblem = (byte: number): Problem => (byte === Byte.LF ? Problem.BARE_LF : Problem.CONTROL_BYTE);
