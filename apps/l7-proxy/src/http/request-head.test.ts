// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { parseRequest } from '../testing/heads.ts';
import { Problem } from './problem.ts';

const fields = (...lines: string[]): string => ['GET / HTTP/1.1', 'Host: a', ...lines, '', ''].join('\r\n');

describe('RequestHead.parse() takes', () => {
  it.each([
    [
      'origin form with a query',
      'GET /a/b?c=d HTTP/1.1\r\nHost: h\r\n\r\n',
      { method: 'GET', path: '/a/b?c=d', host: 'h' },
    ],
    ['absolute form', 'GET http://h:80/a?b HTTP/1.1\r\nHost: h:80\r\n\r\n', { path: '/a?b', host: 'h:80' }],
    ['absolute form without a path', 'GET http://h?b HTTP/1.1\r\nHost: h\r\n\r\n', { path: '?b', host: 'h' }],
    [
      'absolute form in HTTP/1.0 without Host',
      'GET HTTP://h/a HTTP/1.0\r\n\r\n',
      { path: '/a', host: 'h', version: 0 },
    ],
    ['CONNECT', 'CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n', { path: '', host: 'h:443', target: 'h:443' }],
    ['CONNECT to an IPv6 address', 'CONNECT [::1]:443 HTTP/1.0\r\n\r\n', { host: '[::1]:443' }],
    ['OPTIONS *', 'OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n', { path: '*', method: 'OPTIONS' }],
    ['HTTP/1.0 without Host', 'GET / HTTP/1.0\r\n\r\n', { host: '', version: 0 }],
    ['an empty Host', 'GET / HTTP/1.1\r\nHost:\r\n\r\n', { host: '' }],
    ['white space around a value', 'GET / HTTP/1.1\r\nhOsT: \t h.x:1 \t\r\n\r\n', { host: 'h.x:1' }],
    [
      'empty lines before the request line',
      '\r\n\r\nPUT /x HTTP/1.1\r\nHost: h\r\n\r\n',
      { method: 'PUT', path: '/x' },
    ],
    ['an unknown method', "m!#$%&'*+-.^_`|~1 / HTTP/1.1\r\nHost: h\r\n\r\n", { method: "m!#$%&'*+-.^_`|~1" }],
    [
      'characters in a target that RFC 3986 wants escaped',
      'GET /{a}|"^` HTTP/1.1\r\nHost: h\r\n\r\n',
      { path: '/{a}|"^`' },
    ],
    ['obs-text in a value', fields('X: \x80\xff'), { method: 'GET' }],
    ['an empty value', fields('X:'), { method: 'GET' }],
    ['Content-Length', fields('content-length: 0012'), { length: 12 }],
    ['chunked', fields('transfer-encoding: Chunked'), { chunked: true }],
    ['what follows as something else', `${fields()}GET /next`, { rest: 'GET /next' }],
    ['CONNECT with Content-Length 0', 'CONNECT h:1 HTTP/1.0\r\nContent-Length: 0\r\n\r\n', { host: 'h:1' }],
  ])('%s', (_what, text, expected) => {
    expect(parseRequest(text)).toMatchObject({ problem: undefined, ...expected });
  });
});

/** Shapes of request smuggling, and other heads that two parsers may read differently. */
const refused: [string, string, Problem][] = [
  ['two Content-Lengths', fields('Content-Length: 1', 'Content-Length: 2'), Problem.TWO_CONTENT_LENGTHS],
  ['two equal Content-Lengths', fields('Content-Length: 1', 'Content-Length: 1'), Problem.TWO_CONTENT_LENGTHS],
  ['two forms of one Content-Length', fields('Content-Length: 1', 'content-length: 01'), Problem.TWO_CONTENT_LENGTHS],
  ['a list of Content-Lengths', fields('Content-Length: 1, 1'), Problem.CONTENT_LENGTH],
  ['a signed Content-Length', fields('Content-Length: +1'), Problem.CONTENT_LENGTH],
  ['a negative Content-Length', fields('Content-Length: -1'), Problem.CONTENT_LENGTH],
  ['a hexadecimal Content-Length', fields('Content-Length: 0x1'), Problem.CONTENT_LENGTH],
  ['a Content-Length with a space inside', fields('Content-Length: 1 2'), Problem.CONTENT_LENGTH],
  ['an empty Content-Length', fields('Content-Length:'), Problem.CONTENT_LENGTH],
  ['a Content-Length beyond 2^53', fields('Content-Length: 9999999999999999'), Problem.CONTENT_LENGTH],
  [
    'Content-Length, then chunked',
    fields('Content-Length: 1', 'Transfer-Encoding: chunked'),
    Problem.LENGTH_AND_ENCODING,
  ],
  [
    'chunked, then Content-Length',
    fields('Transfer-Encoding: chunked', 'Content-Length: 1'),
    Problem.LENGTH_AND_ENCODING,
  ],
  ['another transfer coding', fields('Transfer-Encoding: gzip'), Problem.TRANSFER_ENCODING],
  ['chunked not last', fields('Transfer-Encoding: chunked, gzip'), Problem.TRANSFER_ENCODING],
  ['chunked behind another coding', fields('Transfer-Encoding: gzip, chunked'), Problem.TRANSFER_ENCODING],
  ['identity, chunked', fields('Transfer-Encoding: identity, chunked'), Problem.TRANSFER_ENCODING],
  ['chunked twice', fields('Transfer-Encoding: chunked, chunked'), Problem.TRANSFER_ENCODING],
  [
    'two Transfer-Encodings',
    fields('Transfer-Encoding: chunked', 'Transfer-Encoding: x'),
    Problem.TWO_TRANSFER_ENCODINGS,
  ],
  ['chunked in quotes', fields('Transfer-Encoding: "chunked"'), Problem.TRANSFER_ENCODING],
  ['chunked with a parameter', fields('Transfer-Encoding: chunked;a=b'), Problem.TRANSFER_ENCODING],
  ['xchunked', fields('Transfer-Encoding: xchunked'), Problem.TRANSFER_ENCODING],
  ['chunked behind a vertical tab', fields('Transfer-Encoding: \x0bchunked'), Problem.CONTROL_BYTE],
  ['an empty Transfer-Encoding', fields('Transfer-Encoding:'), Problem.TRANSFER_ENCODING],
  ['chunked in HTTP/1.0', 'POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n', Problem.ENCODING_IN_HTTP_1_0],
  ['a space before the colon', fields('Content-Length : 1'), Problem.SPACE_BEFORE_COLON],
  ['a tab before the colon', fields('Transfer-Encoding\t: chunked'), Problem.SPACE_BEFORE_COLON],
  ['a folded line', fields('X: a', ' b'), Problem.FOLDED_LINE],
  ['a line folded with a tab', fields('X: a', '\tTransfer-Encoding: chunked'), Problem.FOLDED_LINE],
  ['a first field behind a space', 'GET / HTTP/1.1\r\n Host: a\r\n\r\n', Problem.FOLDED_LINE],
  ['a bare line feed behind a field', fields('X: a\nContent-Length: 1'), Problem.BARE_LF],
  ['a bare line feed behind the request line', 'GET / HTTP/1.1\nHost: a\r\n\r\n', Problem.BARE_LF],
  ['a bare line feed as the empty line', 'GET / HTTP/1.1\r\nHost: a\r\n\n', Problem.BARE_LF],
  ['a bare line feed before the request', '\nGET / HTTP/1.1\r\nHost: a\r\n\r\n', Problem.BARE_LF],
  ['a bare carriage return in a value', fields('X: a\rContent-Length: 1'), Problem.BARE_CR],
  ['a bare carriage return at the end', 'GET / HTTP/1.1\r\nHost: a\r\n\rX', Problem.BARE_CR],
  ['a bare carriage return before the request', '\rGET / HTTP/1.1\r\n\r\n', Problem.BARE_CR],
  ['a NUL in a value', fields('X: a\0b'), Problem.CONTROL_BYTE],
  ['a DEL in a value', fields('X: \x7f'), Problem.CONTROL_BYTE],
  ['a NUL in a name', fields('X\0: a'), Problem.FIELD_NAME],
  ['a byte above ASCII in a name', fields('X\xe4: a'), Problem.FIELD_NAME],
  ['an empty name', fields(': a'), Problem.FIELD_NAME],
  ['a line without a colon', fields('chunked'), Problem.FIELD_WITHOUT_COLON],
  ['a comma in a name', fields('a,b: c'), Problem.FIELD_NAME],
  ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', Problem.VERSION],
  ['HTTP/1.2', 'GET / HTTP/1.2\r\nHost: a\r\n\r\n', Problem.VERSION],
  ['HTTP/1.10', 'GET / HTTP/1.10\r\nHost: a\r\n\r\n', Problem.VERSION],
  ['a version in small letters', 'GET / http/1.1\r\nHost: a\r\n\r\n', Problem.VERSION],
  ['a space behind the version', 'GET / HTTP/1.1 \r\nHost: a\r\n\r\n', Problem.VERSION],
  ['two spaces before the version', 'GET /  HTTP/1.1\r\nHost: a\r\n\r\n', Problem.VERSION],
  ['HTTP/0.9', 'GET /\r\n', Problem.REQUEST_LINE],
  ['no target', 'GET  HTTP/1.1\r\nHost: a\r\n\r\n', Problem.REQUEST_LINE],
  ['a tab behind the method', 'GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n', Problem.REQUEST_LINE],
  ['a space before the method', ' GET / HTTP/1.1\r\nHost: a\r\n\r\n', Problem.REQUEST_LINE],
  ['a TLS hello', '\x16\x03\x01\x02', Problem.REQUEST_LINE],
  ['a tab in the target', 'GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n', Problem.TARGET],
  ['a NUL in the target', 'GET /a\0b HTTP/1.1\r\nHost: a\r\n\r\n', Problem.TARGET],
  ['a fragment', 'GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n', Problem.TARGET],
  ['a byte above ASCII in the target', 'GET /\xe4 HTTP/1.1\r\nHost: a\r\n\r\n', Problem.TARGET],
  ['a relative target', 'GET a/b HTTP/1.1\r\nHost: a\r\n\r\n', Problem.TARGET_FORM],
  ['another scheme', 'GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n', Problem.TARGET_FORM],
  ['* with GET', 'GET * HTTP/1.1\r\nHost: a\r\n\r\n', Problem.TARGET_FORM],
  ['CONNECT without a port', 'CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n', Problem.TARGET_FORM],
  ['CONNECT with a path', 'CONNECT /a HTTP/1.1\r\nHost: a\r\n\r\n', Problem.TARGET_FORM],
  ['CONNECT with a body', 'CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 1\r\n\r\n', Problem.CONNECT_WITH_BODY],
  ['an absolute form without a host', 'GET http:///a HTTP/1.1\r\nHost:\r\n\r\n', Problem.TARGET],
  ['user information in the target', 'GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n', Problem.TARGET],
  ['no Host', 'GET / HTTP/1.1\r\n\r\n', Problem.HOST_MISSING],
  ['two Hosts', fields('Host: a'), Problem.TWO_HOSTS],
  ['two Hosts in HTTP/1.0', 'GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n', Problem.TWO_HOSTS],
  ['another Host than that of the target', 'GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n', Problem.HOST_DIFFERS],
  ['a Host in other letters than the target', 'GET http://A/ HTTP/1.1\r\nHost: a\r\n\r\n', Problem.HOST_DIFFERS],
  ['another Host than that of CONNECT', 'CONNECT a:1 HTTP/1.1\r\nHost: a:2\r\n\r\n', Problem.HOST_DIFFERS],
  ['a path in Host', 'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n', Problem.HOST],
  ['user information in Host', 'GET / HTTP/1.1\r\nHost: u@a\r\n\r\n', Problem.HOST],
  ['a space in Host', 'GET / HTTP/1.1\r\nHost: a b\r\n\r\n', Problem.HOST],
  ['a port that is no number', 'GET / HTTP/1.1\r\nHost: a:b\r\n\r\n', Problem.HOST],
  ['a Host that is only a port', 'GET / HTTP/1.1\r\nHost: :80\r\n\r\n', Problem.HOST],
  ['an open bracket in Host', 'GET / HTTP/1.1\r\nHost: [::1\r\n\r\n', Problem.HOST],
];

describe('RequestHead.parse() refuses', () => {
  it.each(refused)('%s', (_what, text, problem) => {
    expect(parseRequest(text)).toMatchObject({ problem });
  });

  it('more fields than the limit, and takes as many', () => {
    const limits = { fieldsMax: 3, headBytesMax: 1024 };
    expect(parseRequest(fields('a: 1', 'b: 2'), [], limits)?.problem).toBeUndefined();
    expect(parseRequest(fields('a: 1', 'b: 2', 'c: 3'), [], limits)?.problem).toBe(Problem.TOO_MANY_FIELDS);
  });

  it('a head above the limit, and takes one of exactly that size', () => {
    const text = fields(`X: ${'y'.repeat(100)}`);
    const limits = { fieldsMax: 10, headBytesMax: text.length };
    expect(parseRequest(text, [], limits)?.problem).toBeUndefined();
    expect(parseRequest(text, [], { ...limits, headBytesMax: text.length - 1 })?.problem).toBe(Problem.HEAD_TOO_LARGE);
    expect(parseRequest('\r\n'.repeat(100), [], limits)?.problem).toBe(Problem.HEAD_TOO_LARGE);
  });

  it('garbage at its first byte, not at the end of the head', () => {
    expect(parseRequest('GET / HTTP/1.1\r\nHost: a\r\nX: \0')?.problem).toBe(Problem.CONTROL_BYTE);
    expect(parseRequest('GET / HTTQ')?.problem).toBe(Problem.VERSION);
    expect(parseRequest('GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n')).toBeUndefined();
  });
});

describe('RequestHead.parse() gives the same answer however the bytes are cut', () => {
  const texts = [
    ...refused.map(([, text]) => text),
    '\r\nPOST http://h:1/a?b HTTP/1.1\r\nHost: h:1\r\nContent-Length: 10\r\nConnection: a, Close\r\n\r\n0123',
    'CONNECT [::1]:443 HTTP/1.0\r\nExpect: 100-continue\r\nUpgrade: x\r\n\r\n',
  ];

  it('in two parts, at every byte', () => {
    for (const text of texts) {
      const whole = parseRequest(text);
      for (let cut = 1; cut < text.length; cut++) {
        expect({ text, cut, ...parseRequest(text, [cut]) }).toEqual({ text, cut, ...whole });
      }
    }
  });

  it('byte by byte', () => {
    for (const text of texts) {
      const cuts = Array.from({ length: text.length }, (_, i) => i);
      expect({ text, ...parseRequest(text, cuts) }).toEqual({ text, ...parseRequest(text) });
    }
  });
});
