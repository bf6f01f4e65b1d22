// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { ChunkedDecoder } from './chunked-decoder.ts';
import { Problem } from './problem.ts';

/** Where the body ends, and why it is refused, when it comes in these parts. */
function decode(...parts: string[]): { end: number; complete: boolean; problem: Problem | undefined } {
  const decoder = new ChunkedDecoder();
  decoder.reset();
  let end = 0;
  for (const part of parts) {
    const used = decoder.consume(Buffer.from(part, 'latin1'), 0, part.length);
    end += used;
    if (used < part.length || decoder.complete) break;
  }
  return { end, complete: decoder.complete, problem: decoder.problem };
}

const taken: [string, string][] = [
  ['an empty body', '0\r\n\r\n'],
  ['chunks', '5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n'],
  ['sizes in small letters with zeros before them', '00a\r\n0123456789\r\n000\r\n\r\n'],
  ['extensions', '1;a;b=c;d="e f" ;\r\nx\r\n0;z\r\n\r\n'],
  ['data that looks like chunks', '7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n'],
  ['trailers', '0\r\nX: y\r\nDigest: \t z\r\n\r\n'],
];

const refused: [string, string, Problem][] = [
  ['a size of nothing', '\r\n', Problem.CHUNK_SIZE],
  ['a signed size', '+1\r\nx\r\n', Problem.CHUNK_SIZE],
  ['a prefix 0x', '0x1\r\nx\r\n', Problem.CHUNK_SIZE],
  ['a space behind the size', '1 \r\nx\r\n', Problem.CHUNK_SIZE],
  ['a space before the size', ' 1\r\nx\r\n', Problem.CHUNK_SIZE],
  ['a size of 13 digits', '0000000000001\r\nx\r\n', Problem.CHUNK_SIZE],
  ['an underscore', '1_0\r\n', Problem.CHUNK_SIZE],
  ['a bare line feed behind the size', '1\nx\r\n', Problem.BARE_LF],
  ['a bare carriage return behind the size', '1\rx\r\n', Problem.BARE_CR],
  ['a bare line feed in an extension', '1;a\nb\r\nx\r\n', Problem.CHUNK_EXTENSION],
  ['a bare carriage return in an extension', '1;a\rb\r\nx\r\n', Problem.BARE_CR],
  ['a NUL in an extension', '1;\0\r\nx\r\n', Problem.CHUNK_EXTENSION],
  ['a chunk that is longer than its size', '1\r\nxy\r\n', Problem.CHUNK_END],
  ['a chunk without a carriage return', '1\r\nx\n', Problem.CHUNK_END],
  ['a chunk without a line feed', '1\r\nx\rX', Problem.CHUNK_END],
  ['a bare line feed as the last line', '0\r\n\n', Problem.BARE_LF],
  ['a bare line feed behind a trailer', '0\r\nX: y\n\r\n', Problem.BARE_LF],
  ['a folded trailer', '0\r\nX: y\r\n z\r\n\r\n', Problem.FOLDED_LINE],
  ['a trailer without a colon', '0\r\nX\r\n\r\n', Problem.FIELD_NAME],
  ['a NUL in a trailer', '0\r\nX: \0\r\n\r\n', Problem.CONTROL_BYTE],
  ['Content-Length as a trailer', '0\r\ncontent-Length: 1\r\n\r\n', Problem.TRAILER_FIELD],
  ['Transfer-Encoding as a trailer', '0\r\nTransfer-Encoding: chunked\r\n\r\n', Problem.TRAILER_FIELD],
  ['Host as a trailer', '0\r\nHost: h\r\n\r\n', Problem.TRAILER_FIELD],
];

describe('ChunkedDecoder.consume()', () => {
  it.each(taken)('takes %s, and nothing of what follows', (_what, body) => {
    expect(decode(`${body}GET /`)).toEqual({ end: body.length, complete: true, problem: undefined });
  });

  it.each(refused)('refuses %s', (_what, body, problem) => {
    expect(decode(body)).toMatchObject({ complete: false, problem });
  });

  it('refuses extensions and trailers above their limits', () => {
    expect(decode(`1;${'x'.repeat(5000)}\r\n`).problem).toBe(Problem.CHUNK_EXTENSION);
    expect(decode(`0\r\n${'X: y\r\n'.repeat(4000)}\r\n`).problem).toBe(Problem.TRAILERS_TOO_LARGE);
  });

  it('gives the same answer however the bytes are cut', () => {
    for (const body of [...taken, ...refused].map(([, text]) => `${text}rest`)) {
      const whole = decode(body);
      for (let cut = 1; cut < body.length; cut++) {
        expect({ body, cut, ...decode(body.slice(0, cut), body.slice(cut)) }).toEqual({ body, cut, ...whole });
      }
      expect({ body, ...decode(...body) }).toEqual({ body, ...whole });
    }
  });

  it('serves one body after the other', () => {
    const decoder = new ChunkedDecoder();
    const body = Buffer.from('1\r\nx\r\n0\r\nX: y\r\n\r\n');
    for (let i = 0; i < 3; i++) {
      decoder.reset();
      expect(decoder.consume(body, 0, body.length)).toBe(body.length);
      expect(decoder.complete).toBe(true);
    }
  });
});
