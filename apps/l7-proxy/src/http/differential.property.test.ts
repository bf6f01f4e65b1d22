// SPDX-License-Identifier: Apache-2.0
// Goal: whatever the proxy lets through, a server with another parser reads as the same requests. Method: streams of requests
// are put together from pieces that parsers are known to disagree about, and given to ours and to llhttp, the parser of
// Node.js, as it is strict and as it is lenient. llhttp may refuse what we take; it must never find other requests, or another body.
import { afterAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { createNodeParser, type ReadRequest, type ReadStream } from '../testing/node-parser.ts';
import { Progress } from './field-parser.ts';
import { MessageBody, requestFraming } from './message-body.ts';
import { RequestHead } from './request-head.ts';

function readOurs(text: string): ReadStream {
  const head = new RequestHead({ fieldsMax: 100, headBytesMax: 4096 });
  const body = new MessageBody();
  const requests: ReadRequest[] = [];
  let bytes = Buffer.from(text, 'latin1');
  for (;;) {
    head.reset();
    const progress = head.parse(bytes, bytes.length);
    if (progress !== Progress.DONE) return { requests, refused: progress === Progress.BAD };
    const at = (from: number, to: number): string => bytes.toString('latin1', from, to);
    body.start(requestFraming(head), head.fields.contentLength);
    const end = body.consume(bytes, head.end, bytes.length);
    if (!body.complete) return { requests, refused: body.problem !== undefined };
    requests.push({
      method: at(head.start, head.methodEnd),
      target: at(head.targetStart, head.targetEnd),
      host: at(head.hostStart, head.hostEnd),
      body: head.fields.chunked ? unchunk(at(head.end, end)) : at(head.end, end),
    });
    bytes = bytes.subarray(end);
  }
}

/** The data of a complete chunked body, read in the plainest way. */
function unchunk(text: string): string {
  let data = '';
  for (let rest = text; ;) {
    const line = rest.indexOf('\r\n');
    const size = Number.parseInt(rest, 16);
    if (size === 0) return data;
    data += rest.slice(line + 2, line + 2 + size);
    rest = rest.slice(line + 2 + size + 2);
  }
}

/** Mostly the first, so that a stream has a chance to be well-formed up to one oddity. */
const rarely = (usual: readonly string[], odd: readonly string[]): fc.Arbitrary<string> =>
  fc.oneof({ weight: 12, arbitrary: fc.constantFrom(...usual) }, { weight: 1, arbitrary: fc.constantFrom(...odd) });

const lineEnd = rarely(['\r\n'], ['\n', '\r', '\n\r', '\r\n ', '\r\r\n']);
const requestLine = rarely(
  ['GET /a HTTP/1.1', 'POST /b?c HTTP/1.1', 'PUT http://h/x HTTP/1.1'],
  ['GET / HTTP/1.0', 'POST /\t HTTP/1.1', 'GET  / HTTP/1.1', 'get / HTTP/1.1', 'GET / HTTP/1.1 ', 'GET /\x80 HTTP/1.1'],
);
const otherField = rarely(
  ['X: y', 'Accept: */*', 'Connection: keep-alive', 'Expect: 100-continue', 'X: \xe4'],
  ['X: a\x01b', 'X', ': x', 'Host: other', ' X: folded', 'X : y', 'Content-Length: 3', 'Transfer-Encoding: chunked'],
);
const length = rarely(
  ['Content-Length: 5', 'content-length:\t5 ', 'Content-Length: 05'],
  ['Content-Length: 5, 5', 'Content-Length: +5', 'Content-Length : 5', 'Content-Length: 5\0', 'Content-Length: 0x5'],
);
const chunked = rarely(
  ['Transfer-Encoding: chunked', 'transfer-encoding: Chunked '],
  [
    'Transfer-Encoding: chunked, identity',
    'Transfer-Encoding: gzip, chunked',
    'Transfer-Encoding:\x0bchunked',
    'Transfer-Encoding : chunked',
    'Transfer-Encoding: "chunked"',
    'Transfer-Encoding: xchunked',
  ],
);
const chunks = rarely(
  [
    '5\r\nhello\r\n0\r\n\r\n',
    '0\r\n\r\n',
    '005\r\nhello\r\n00\r\n\r\n',
    '5;a=b;c="d"\r\nhello\r\n0\r\nT: v\r\n\r\n',
    'A\r\nhellohello\r\n1;\r\n!\r\n0\r\n\r\n',
  ],
  [
    '5\nhello\r\n0\r\n\r\n',
    '5 \r\nhello\r\n0\r\n\r\n',
    '0x5\r\nhello\r\n0\r\n\r\n',
    '5\r\nhelloX0\r\n\r\n',
    '5\r\nhello\n0\r\n\r\n',
    '5;\rx\r\nhello\r\n0\r\n\r\n',
    '5;a\nb\r\nhello\r\n0\r\n\r\n',
    '-5\r\nhello\r\n0\r\n\r\n',
    '5\r\nhello\r\n0\r\nContent-Length: 3\r\n\r\nabc',
    '5\r\nhello\r\n0\r\n X: folded\r\n\r\n',
    '5\r\nhello\r\n0\r\nX: y\n\r\n',
  ],
);
const framed = fc.oneof(
  fc.tuple(fc.constant('X: none'), fc.constant('')),
  fc.tuple(length, fc.constant('hello')),
  fc.tuple(chunked, chunks),
);
const request = fc
  .tuple(requestLine, lineEnd, fc.array(fc.tuple(otherField, lineEnd), { maxLength: 2 }), framed)
  .map(([line, end, fields, [framing, content]]) => {
    const others = fields.map((pair) => pair.join('')).join('');
    return `${line}${end}Host: h\r\n${others}${framing}\r\n\r\n${content}`;
  });

describe.each([{ lenient: false }, { lenient: true }])('a stream of requests that we take', ({ lenient }) => {
  const parser = createNodeParser({ lenient });
  const seen = { both: 0, oursOnly: 0 };

  it(`is to llhttp the same requests, or it is refused, lenient: ${lenient}`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 3 }), async (requests) => {
        const text = requests.join('');
        const ours = readOurs(text);
        const theirs = await parser.read(text);
        // What llhttp refuses is not forwarded to anybody; before that it must have read what we did.
        const common = theirs.requests.slice(0, ours.requests.length);
        expect(ours.requests.slice(0, common.length)).toEqual(common);
        // Where we stop, nothing more reaches the server, so what llhttp would find behind it does not count.
        if (!theirs.refused) expect(theirs.requests.length).toBeGreaterThanOrEqual(ours.requests.length);
        seen[ours.requests.length > 0 && common.length > 0 ? 'both' : 'oursOnly']++;
      }),
      { numRuns: 2000 },
    );
  });

  afterAll(() => {
    // Were everything refused, the test would show nothing.
    expect(seen.both).toBeGreaterThan(500);
  });
});
