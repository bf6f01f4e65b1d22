// SPDX-License-Identifier: Apache-2.0
import { Byte, targetBytes, tokenBytes } from './bytes.ts';
import { parseFieldSection, Progress } from './field-parser.ts';
import { FieldSection } from './field-section.ts';
import type { HeadLimits } from './head-limits.ts';
import { Problem } from './problem.ts';
import { checkRequest } from './request-rules.ts';
import { TargetForm } from './target-form.ts';
import { parseVersion } from './version.ts';

const At = { BEFORE: 0, BEFORE_LF: 1, METHOD: 2, TARGET: 3, VERSION: 4, FIELDS: 5 } as const;
type At = (typeof At)[keyof typeof At];

/**
 * A request's head where it lies in a buffer: positions, no copies. One of these serves all requests of a connection.
 */
export class RequestHead {
  /** The first byte of the request line; empty lines before it are not part of the request. */
  start = 0;
  methodEnd = 0;
  targetStart = 0;
  targetEnd = 0;
  form: TargetForm = TargetForm.ORIGIN;
  /** Where path and query begin; equal to `targetEnd` where the target has none. */
  pathStart = 0;
  /** The one host of the request; empty where it names none. */
  hostStart = 0;
  hostEnd = 0;
  /** 0 or 1: HTTP/1.x. */
  minorVersion = 1;
  isHead = false;
  isConnect = false;
  readonly fields: FieldSection;
  problem: Problem | undefined = undefined;

  #at: At = At.BEFORE;
  #position = 0;

  readonly #bytesMax: number;

  constructor({ fieldsMax, headBytesMax }: HeadLimits) {
    this.fields = new FieldSection(fieldsMax);
    this.#bytesMax = headBytesMax;
  }

  /** The first byte behind the head, once it is complete. */
  get end(): number {
    return this.fields.position;
  }

  /** True when at least one byte of a request line has been seen. */
  get begun(): boolean {
    return this.#at > At.BEFORE_LF;
  }

  /** True when the request line is complete, and method, target and version stand. */
  get lineRead(): boolean {
    return this.#at === At.FIELDS;
  }

  /** Ready for a head that begins at the first byte of a buffer. */
  reset(): void {
    this.#at = At.BEFORE;
    this.#position = 0;
    this.problem = undefined;
    this.minorVersion = 1;
    this.isHead = false;
    this.isConnect = false;
  }

  /**
   * Reads on, each byte once: after MORE, call it again when there are more bytes behind the same ones, which may have
   * moved to another buffer. DONE only for a head that obeys RFC 9112 and that nobody can frame in two ways.
   */
  parse(bytes: Uint8Array, end: number): Progress {
    // Never looks behind the limit, so that the answer does not depend on how the bytes were cut.
    const progress = this.#parse(bytes, Math.min(end, this.#bytesMax));
    return progress === Progress.MORE && end > this.#bytesMax ? this.#bad(Problem.HEAD_TOO_LARGE) : progress;
  }

  #parse(bytes: Uint8Array, end: number): Progress {
    if (this.#at !== At.FIELDS) {
      const progress = this.#parseLine(bytes, end);
      if (progress !== Progress.DONE) return progress;
      this.#beginFields();
    }
    const progress = parseFieldSection(this.fields, bytes, end);
    if (progress === Progress.MORE) return progress;
    this.problem = progress === Progress.BAD ? this.fields.problem : checkRequest(this, bytes);
    return this.problem === undefined ? Progress.DONE : Progress.BAD;
  }

  #beginFields(): void {
    this.#at = At.FIELDS;
    this.form = TargetForm.ORIGIN;
    this.pathStart = this.targetStart;
    this.hostStart = 0;
    this.hostEnd = 0;
    this.fields.reset(this.#position);
  }

  #parseLine(bytes: Uint8Array, end: number): Progress {
    let position = this.#position;
    if (this.#at <= At.BEFORE_LF) {
      position = this.#skipEmptyLines(bytes, end);
      if (this.problem !== undefined) return Progress.BAD;
      if (position === end) return Progress.MORE;
    }
    if (this.#at === At.METHOD) {
      while (position < end && tokenBytes[bytes[position] as number] === 1) position++;
      if (position === end) return this.#suspend(position);
      if (bytes[position] !== Byte.SPACE || position === this.start) return this.#bad(Problem.REQUEST_LINE);
      this.methodEnd = position++;
      this.targetStart = position;
      this.#at = At.TARGET;
    }
    if (this.#at === At.TARGET) {
      while (position < end && targetBytes[bytes[position] as number] === 1) position++;
      if (position === end) return this.#suspend(position);
      if (bytes[position] !== Byte.SPACE) return this.#bad(targetProblem(bytes[position] as number));
      if (position === this.targetStart) return this.#bad(Problem.REQUEST_LINE);
      this.targetEnd = position++;
      this.#position = position;
      this.#at = At.VERSION;
    }
    return this.#parseVersion(bytes, end);
  }

  #parseVersion(bytes: Uint8Array, end: number): Progress {
    const minorVersion = parseVersion(bytes, this.#position, end);
    const lineEnd = this.#position + 8;
    if (minorVersion === undefined) return this.#bad(Problem.VERSION);
    for (let i = lineEnd; i < Math.min(end, lineEnd + 2); i++) {
      if (bytes[i] !== (i === lineEnd ? Byte.CR : Byte.LF)) return this.#bad(lineEndProblem(bytes, i, lineEnd));
    }
    if (end < lineEnd + 2) return Progress.MORE;
    this.minorVersion = minorVersion;
    this.#position = lineEnd + 2;
    return Progress.DONE;
  }

  /** Servers are to ignore empty lines before a request line (RFC 9112 2.2); here each ends as every other line does. */
  #skipEmptyLines(bytes: Uint8Array, end: number): number {
    let position = this.#position;
    while (position < end) {
      if (this.#at === At.BEFORE_LF) {
        if (bytes[position] !== Byte.LF) this.problem = Problem.BARE_CR;
        this.#at = At.BEFORE;
      } else if (bytes[position] === Byte.CR) {
        this.#at = At.BEFORE_LF;
      } else if (bytes[position] === Byte.LF) {
        this.problem = Problem.BARE_LF;
      } else {
        this.#at = At.METHOD;
        this.start = position;
        break;
      }
      if (this.problem !== undefined) break;
      position++;
    }
    this.#position = position;
    return position;
  }

  #suspend(position: number): Progress {
    this.#position = position;
    return Progress.MORE;
  }

  #bad(problem: Problem): Progress {
    this.problem = problem;
    return Progress.BAD;
  }
}

const targetProblem = (byte: number): Problem =>
  byte === Byte.CR || byte === Byte.LF ? Problem.REQUEST_LINE : Problem.TARGET;

function lineEndProblem(bytes: Uint8Array, position: number, lineEnd: number): Problem {
  if (position > lineEnd) return Problem.BARE_CR;
  return bytes[position] === Byte.LF ? Problem.BARE_LF : Problem.VERSION;
}
