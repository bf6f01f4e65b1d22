// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { buildPrograms, probe } from '../testing/plugin.ts';

interface Parsed {
  readonly state: 'incomplete' | 'complete' | 'malformed';
  readonly status: number;
  readonly body: string;
}

const frame = (text: string | Buffer, ended = false): Buffer =>
  Buffer.concat([Buffer.from([ended ? 1 : 0]), Buffer.from(text)]);

function parse(text: string, ended = false): Parsed {
  const [answer] = probe('http', [frame(text, ended)]) as [Parsed];
  return { ...answer, body: Buffer.from(answer.body, 'hex').toString() };
}

const ok = 'HTTP/1.1 200 OK\r\n';

beforeAll(buildPrograms, 120_000);

describe('http_parse()', () => {
  it('takes a body of the announced length, and nothing behind it', () => {
    expect(parse(`${ok}Content-Length: 2\r\n\r\n{}x`)).toEqual({ state: 'complete', status: 200, body: '{}' });
  });

  it('joins chunks, with extensions and trailers', () => {
    const text = `${ok}Transfer-Encoding: Chunked\r\n\r\n1;a=b\r\n{\r\nA\r\n"a":1234  \r\n001\r\n}\r\n0\r\nx: y\r\n\r\n`;
    expect(parse(text)).toEqual({ state: 'complete', status: 200, body: '{"a":1234  }' });
  });

  it('takes everything up to the end of the connection when no length is announced', () => {
    expect(parse(`${ok}\r\n{}`)).toMatchObject({ state: 'incomplete' });
    expect(parse(`${ok}\r\n{}`, true)).toEqual({ state: 'complete', status: 200, body: '{}' });
  });

  it('skips interim responses', () => {
    expect(
      parse(`HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n${ok}Content-Length: 0\r\n\r\n`),
    ).toEqual({
      state: 'complete',
      status: 200,
      body: '',
    });
  });

  it('expects no body with 204', () => {
    expect(parse('HTTP/1.1 204 No Content\r\n\r\n')).toEqual({ state: 'complete', status: 204, body: '' });
  });

  it.each([
    ['another protocol', 'SSH-2.0-OpenSSH\r\n'],
    ['a status that is not a number', 'HTTP/1.1 2x0 OK\r\n\r\n'],
    ['a switch of protocols', 'HTTP/1.1 101 Switching Protocols\r\n\r\n'],
    ['a negative length', `${ok}Content-Length: -1\r\n\r\n`],
    ['a length with two values', `${ok}Content-Length: 1, 1\r\n\r\n`],
    ['two lengths', `${ok}Content-Length: 1\r\nContent-Length: 2\r\n\r\n`],
    ['an enormous length', `${ok}Content-Length: 99999999999999999999999\r\n\r\n`],
    ['length and chunks', `${ok}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
    ['another transfer encoding', `${ok}Transfer-Encoding: gzip, chunked\r\n\r\n`],
    ['a header without a name', `${ok}: x\r\n\r\n`],
    ['a header without a colon', `${ok}x\r\n\r\n`],
    ['a chunk without a size', `${ok}Transfer-Encoding: chunked\r\n\r\nx\r\n`],
    ['a chunk with a zero byte behind its size', `${ok}Transfer-Encoding: chunked\r\n\r\n1\0\r\n{\r\n0\r\n\r\n`],
    ['a chunk of an enormous size', `${ok}Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n`],
    ['a chunk longer than its size', `${ok}Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n`],
    ['an endless head', ok + 'x: y\r\n'.repeat(3000)],
  ])('refuses %s', (_, text) => {
    expect(parse(text)).toMatchObject({ state: 'malformed' });
  });

  it('is incomplete at every shorter length of a response, and never reads beyond it', () => {
    const responses = [
      `${ok}Content-Length: 12\r\nConnection: close\r\n\r\n{"code":1.5}`,
      `${ok}Transfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\n2\r\n1}\r\n0\r\n\r\n`,
      `HTTP/1.1 100 Continue\r\n\r\n${ok}Content-Length: 2\r\n\r\n{}`,
    ];
    for (const text of responses) {
      const lengths = Array.from({ length: text.length }, (_, length) => frame(text.slice(0, length)));
      expect(new Set(probe('http', lengths).map((answer) => (answer as Parsed).state))).toEqual(
        new Set(['incomplete']),
      );
      expect(parse(text)).toMatchObject({ state: 'complete', status: 200 });
    }
  });

  it('comes to an end on any damage to a response', () => {
    const text = `${ok}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n`;
    const damage = fc.tuple(fc.nat(text.length), fc.nat(30), fc.uint8Array({ maxLength: 6 }), fc.boolean());
    const frames = fc.sample(damage, { numRuns: 20_000, seed: 11 }).map(([at, length, bytes, ended]) => {
      return frame(Buffer.concat([Buffer.from(text.slice(0, at)), bytes, Buffer.from(text.slice(at + length))]), ended);
    });
    expect(probe('http', frames)).toHaveLength(frames.length);
  });
});
