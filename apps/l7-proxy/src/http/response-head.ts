// SPDX-License-Identifier: Apache-2.0
import { Byte, fieldValueBytes } from './bytes.ts';
import { parseFieldSection, Progress } from './field-parser.ts';
import { FieldSection } from './field-section.ts';
import { Problem } from './problem.ts';
import type { HeadLimits } from './head-limits.ts';
import { parseVersion, versionLength } from './version.ts';

const At = { VERSION: 0, STATUS: 1, REASON: 2, REASON_LF: 3, FIELDS: 4 } as const;
type At = (typeof At)[keyof typeof At];

/** A response's head where it lies in a buffer that begins with it. One of these serves all responses of a connection. */
export class ResponseHead {
  status = 0;
  /** 0 or 1: HTTP/1.x. */
  minorVersion = 1;
  readonly fields: FieldSection;
  problem: Problem | undefined = undefined;

  #at: At = At.VERSION;
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

  /** Ready for a head that begins at the first byte of a buffer. */
  reset(): void {
    this.#at = At.VERSION;
    this.#position = 0;
    this.problem = undefined;
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
      this.#at = At.FIELDS;
      this.fields.reset(this.#position);
    }
    const progress = parseFieldSection(this.fields, bytes, end);
    if (progress === Progress.MORE) return progress;
    this.problem = progress === Progress.BAD ? this.fields.problem : this.#checkFraming();
    return this.problem === undefined ? Progress.DONE : Progress.BAD;
  }

  #parseLine(bytes: Uint8Array, end: number): Progress {
    if (this.#at === At.VERSION) {
      const minorVersion = parseVersion(bytes, 0, end);
      if (minorVersion === undefined) return this.#bad(Problem.VERSION);
      if (end < versionLength) return Progress.MORE;
      this.minorVersion = minorVersion;
      this.status = 0;
      this.#position = versionLength;
      this.#at = At.STATUS;
    }
    if (this.#at === At.STATUS) {
      const progress = this.#parseStatus(bytes, end);
      if (progress !== Progress.DONE) return progress;
      this.#at = At.REASON;
    }
    let position = this.#position;
    if (this.#at === At.REASON) {
      while (position < end && fieldValueBytes[bytes[position] as number] === 1) position++;
      this.#position = position;
      if (position === end) return Progress.MORE;
      if (bytes[position] !== Byte.CR) return this.#bad(reasonProblem(bytes[position] as number));
      this.#position = ++position;
      this.#at = At.REASON_LF;
    }
    if (position === end) return Progress.MORE;
    if (bytes[position] !== Byte.LF) return this.#bad(Problem.BARE_CR);
    this.#position = position + 1;
    return Progress.DONE;
  }

  /** ` 200`, and then a space or the end of the line: many servers leave out the space before an empty reason. */
  #parseStatus(bytes: Uint8Array, end: number): Progress {
    const digitsEnd = versionLength + 4;
    for (let i = this.#position; i < digitsEnd; i++) {
      this.#position = i;
      if (i === end) return Progress.MORE;
      const byte = bytes[i] as number;
      if (i === versionLength) {
        if (byte !== Byte.SPACE) return this.#bad(Problem.STATUS_LINE);
      } else {
        if (byte < Byte.ZERO || byte > Byte.NINE) return this.#bad(Problem.STATUS_LINE);
        this.status = this.status * 10 + (byte - Byte.ZERO);
      }
    }
    this.#position = digitsEnd;
    if (digitsEnd === end) return Progress.MORE;
    const next = bytes[digitsEnd];
    if (this.status < 100 || (next !== Byte.SPACE && next !== Byte.CR)) return this.#bad(Problem.STATUS_LINE);
    return Progress.DONE;
  }

  #checkFraming(): Problem | undefined {
    return this.fields.chunked && this.minorVersion === 0 ? Problem.ENCODING_IN_HTTP_1_0 : undefined;
  }

  #bad(problem: Problem): Progress {
    this.problem = problem;
    return Progress.BAD;
  }
}

const reasonProblem = (byte: number): Problem => (byte === Byte.LF ? Problem.BARE_LF : Problem.STATUS_LINE);
