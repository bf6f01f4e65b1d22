// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { parseResponse } from '../testing/heads.ts';
import { Problem } from './problem.ts';

const response = (...lines: string[]): string => ['HTTP/1.1 200 OK', ...lines, '', ''].join('\r\n');

describe('ResponseHead.parse() takes', () => {
  it.each([
    ['a reason', 'HTTP/1.1 404 Not \x80 Found\r\n\r\n', { status: 404, version: 1 }],
    ['an empty reason', 'HTTP/1.0 200 \r\n\r\n', { status: 200, version: 0 }],
    ['no space before an empty reason, as many servers send it', 'HTTP/1.1 204\r\n\r\n', { status: 204 }],
    ['a status without a meaning', 'HTTP/1.1 999 x\r\n\r\n', { status: 999 }],
    ['chunked', response('Transfer-Encoding: chunked'), { chunked: true }],
    ['Content-Length', response('Content-Length: 7'), { length: 7 }],
  ])('%s', (_what, text, expected) => {
    expect(parseResponse(text)).toMatchObject({ problem: undefined, ...expected });
  });
});

const refused: [string, string, Problem][] = [
  ['two Content-Lengths', response('Content-Length: 1', 'Content-Length: 1'), Problem.TWO_CONTENT_LENGTHS],
  ['both framings', response('Content-Length: 1', 'Transfer-Encoding: chunked'), Problem.LENGTH_AND_ENCODING],
  ['another transfer coding', response('Transfer-Encoding: gzip'), Problem.TRANSFER_ENCODING],
  ['chunked in HTTP/1.0', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', Problem.ENCODING_IN_HTTP_1_0],
  ['a bare line feed', 'HTTP/1.1 200 OK\n\n', Problem.BARE_LF],
  ['a bare carriage return', 'HTTP/1.1 200 OK\rX\r\n\r\n', Problem.BARE_CR],
  ['a folded line', response('X: a', ' b'), Problem.FOLDED_LINE],
  ['a NUL in the reason', 'HTTP/1.1 200 O\0K\r\n\r\n', Problem.STATUS_LINE],
  ['two digits', 'HTTP/1.1 20 OK\r\n\r\n', Problem.STATUS_LINE],
  ['four digits', 'HTTP/1.1 2000 OK\r\n\r\n', Problem.STATUS_LINE],
  ['a status below 100', 'HTTP/1.1 099 OK\r\n\r\n', Problem.STATUS_LINE],
  ['two spaces before the status', 'HTTP/1.1  200 OK\r\n\r\n', Problem.STATUS_LINE],
  ['HTTP/2', 'HTTP/2.0 200 OK\r\n\r\n', Problem.VERSION],
  ['something else', 'SSH-2.0-OpenSSH_9\r\n', Problem.VERSION],
];

describe('ResponseHead.parse() refuses', () => {
  it.each(refused)('%s', (_what, text, problem) => {
    expect(parseResponse(text)).toMatchObject({ problem });
  });

  it('a head above the limit', () => {
    const limits = { fieldsMax: 10, headBytesMax: 64 };
    expect(parseResponse(response(`X: ${'y'.repeat(64)}`), [], limits)?.problem).toBe(Problem.HEAD_TOO_LARGE);
  });
});

describe('ResponseHead.parse() gives the same answer however the bytes are cut', () => {
  it('in two parts at every byte, and byte by byte', () => {
    for (const text of [...refused.map(([, each]) => each), response('Content-Length: 3'), 'HTTP/1.0 404\r\n\r\n']) {
      const whole = parseResponse(text);
      for (let cut = 1; cut < text.length; cut++) {
        expect({ text, cut, ...parseResponse(text, [cut]) }).toEqual({ text, cut, ...whole });
      }
      const cuts = Array.from({ length: text.length }, (_, i) => i);
      expect({ text, ...parseResponse(text, cuts) }).toEqual({ text, ...whole });
    }
  });
});
