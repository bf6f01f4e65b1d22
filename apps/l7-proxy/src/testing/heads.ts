// SPDX-License-Identifier: Apache-2.0
import { Progress } from '../http/field-parser.ts';
import { RequestHead } from '../http/request-head.ts';
import { ResponseHead } from '../http/response-head.ts';

const limits = { fieldsMax: 100, headBytesMax: 64 * 1024 };

const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1');

export interface ParsedRequest {
  readonly problem: string | undefined;
  readonly method: string;
  readonly target: string;
  readonly path: string;
  readonly host: string;
  readonly version: number;
  readonly length: number;
  readonly chunked: boolean;
  readonly rest: string;
}

/** What the parser says of a request when its bytes come cut at `cuts`; undefined as long as the head is not complete. */
export function parseRequest(text: string, cuts: readonly number[] = [], options = limits): ParsedRequest | undefined {
  const head = new RequestHead(options);
  head.reset();
  const bytes = latin1(text);
  for (const end of [...cuts, bytes.length]) {
    // A copy with nothing behind `end`: reading too far would be seen.
    const seen = Buffer.from(bytes.subarray(0, end));
    const progress = head.parse(seen, end);
    if (progress === Progress.MORE) continue;
    const at = (from: number, to: number): string => bytes.toString('latin1', from, to);
    if (progress === Progress.BAD) return bad(head.problem);
    return {
      problem: undefined,
      method: at(head.start, head.methodEnd),
      target: at(head.targetStart, head.targetEnd),
      path: at(head.pathStart, head.targetEnd),
      host: at(head.hostStart, head.hostEnd),
      version: head.minorVersion,
      length: head.fields.contentLength,
      chunked: head.fields.chunked,
      rest: at(head.end, bytes.length),
    };
  }
  return undefined;
}

const bad = (problem: string | undefined): ParsedRequest => ({
  problem: problem ?? 'no reason given',
  method: '',
  target: '',
  path: '',
  host: '',
  version: 0,
  length: -1,
  chunked: false,
  rest: '',
});

export interface ParsedResponse {
  readonly problem: string | undefined;
  readonly status: number;
  readonly version: number;
  readonly length: number;
  readonly chunked: boolean;
}

/** The same for a response. */
export function parseResponse(
  text: string,
  cuts: readonly number[] = [],
  options = limits,
): ParsedResponse | undefined {
  const head = new ResponseHead(options);
  head.reset();
  const bytes = latin1(text);
  for (const end of [...cuts, bytes.length]) {
    const progress = head.parse(Buffer.from(bytes.subarray(0, end)), end);
    if (progress === Progress.MORE) continue;
    if (progress === Progress.BAD) return { problem: head.problem, status: 0, version: 0, length: -1, chunked: false };
    const { contentLength, chunked } = head.fields;
    return { problem: undefined, status: head.status, version: head.minorVersion, length: contentLength, chunked };
  }
  return undefined;
}
