// SPDX-License-Identifier: Apache-2.0

/** The fields in which a request may say of which trace it is part. */
export const TraceField = { TRACEPARENT: 0, B3: 1, B3_TRACE_ID: 2, B3_SPAN_ID: 3, B3_SAMPLED: 4 } as const;
export type TraceField = (typeof TraceField)[keyof typeof TraceField];

const count = Object.keys(TraceField).length;
// Longer than any that means something.
const valueBytesMax = 128;

const w3cPattern = /^(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?$/;
const b3Pattern = /^([0-9a-f]{32}|[0-9a-f]{16})-([0-9a-f]{16})(?:-([01d])(?:-[0-9a-f]{16})?)?$/i;
const isZero = (hex: string): boolean => /^0+$/.test(hex);

/** In the form of W3C's `traceparent`; undefined for what names nothing. */
function traceParent(traceId: string, spanId: string, flags: string): string | undefined {
  const trace = traceId.toLowerCase().padStart(32, '0');
  return isZero(trace) || isZero(spanId) ? undefined : `00-${trace}-${spanId.toLowerCase()}-${flags}`;
}

/** B3 leaves the decision open when it says nothing; whoever sends identifiers wants to see them. */
const flagsOf = (sampled: string | undefined): string => (/^(0|false)$/i.test(sampled ?? '1') ? '00' : '01');

/** Where these fields lie in a head; read only when a call is reported that has any. */
export class TraceFields {
  readonly #starts = new Int32Array(count);
  readonly #ends = new Int32Array(count);
  #found = 0;

  reset(): void {
    this.#found = 0;
  }

  /** The first field of a name counts. */
  set(field: TraceField, start: number, end: number): void {
    if ((this.#found & (1 << field)) !== 0) return;
    this.#found |= 1 << field;
    this.#starts[field] = start;
    this.#ends[field] = end;
  }

  /** The span that the request was made in, as W3C's `traceparent` says it; also if it came as B3. */
  parent(bytes: Buffer): string | undefined {
    if (this.#found === 0) return undefined;
    const w3c = w3cPattern.exec(this.#text(TraceField.TRACEPARENT, bytes));
    if (w3c !== null) return traceParent(w3c[1] ?? '', w3c[2] ?? '', w3c[3] ?? '');
    const single = this.#text(TraceField.B3, bytes);
    const sampled = this.#text(TraceField.B3_SAMPLED, bytes);
    const several = `${this.#text(TraceField.B3_TRACE_ID, bytes)}-${this.#text(TraceField.B3_SPAN_ID, bytes)}`;
    const b3 = b3Pattern.exec(single) ?? b3Pattern.exec(several);
    if (b3 === null) return undefined;
    return traceParent(b3[1] ?? '', b3[2] ?? '', flagsOf(b3[3] ?? (sampled === '' ? undefined : sampled)));
  }

  #text(field: TraceField, bytes: Buffer): string {
    if ((this.#found & (1 << field)) === 0) return '';
    const [start, end] = [this.#starts[field] ?? 0, this.#ends[field] ?? 0];
    return end - start > valueBytesMax ? '' : bytes.toString('latin1', start, end).trim();
  }
}
