// SPDX-License-Identifier: Apache-2.0
import type { Problem } from './problem.ts';
import { TraceFields } from './trace-fields.ts';

/** What `Connection` names, as bits. */
export const ConnectionOption = { CLOSE: 1, KEEP_ALIVE: 2, UPGRADE: 4 } as const;

/** Where the parser of a field section stands between two calls. */
export const FieldAt = { LINE: 0, NAME: 1, VALUE: 2, VALUE_LF: 3, END_LF: 4 } as const;
export type FieldAt = (typeof FieldAt)[keyof typeof FieldAt];

/**
 * The fields of one head, as far as they matter for framing and judging: no object per field, so that a head costs no
 * allocation. Positions count from the first byte of the buffer that is parsed; a caller that moves the bytes to another
 * buffer keeps them at the same positions.
 */
export class FieldSection {
  readonly fieldsMax: number;
  /** The next byte to look at; after the empty line the first byte behind the head. */
  position = 0;
  problem: Problem | undefined = undefined;

  count = 0;
  /** Bytes, -1 without the field. */
  contentLength = -1;
  chunked = false;
  /** Bits of {@link ConnectionOption}. */
  connection = 0;
  expectContinue = false;
  hostCount = 0;
  hostStart = 0;
  hostEnd = 0;
  /** Values are read only when somebody upgrades; -1 without the field. */
  upgradeStart = -1;
  readonly trace = new TraceFields();

  at: FieldAt = FieldAt.LINE;
  lineStart = 0;
  nameEnd = 0;

  constructor(fieldsMax: number) {
    this.fieldsMax = fieldsMax;
  }

  /** Forgets everything; the field lines begin at `position`. */
  reset(position: number): void {
    this.position = position;
    this.problem = undefined;
    this.count = 0;
    this.contentLength = -1;
    this.chunked = false;
    this.connection = 0;
    this.expectContinue = false;
    this.hostCount = 0;
    this.hostStart = 0;
    this.hostEnd = 0;
    this.upgradeStart = -1;
    this.trace.reset();
    this.at = FieldAt.LINE;
  }
}
