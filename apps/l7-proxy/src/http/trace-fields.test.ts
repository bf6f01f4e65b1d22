// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { Progress } from './field-parser.ts';
import { RequestHead } from './request-head.ts';

const trace = '4bf92f3577b34da6a3ce929d0e0e4736';
const [span, parent] = ['00f067aa0ba902b7', '05e3ac9a4f6e3b90'];
const w3c = `00-${trace}-${span}-01`;
const short = trace.slice(16);

const head = new RequestHead({ fieldsMax: 20, headBytesMax: 4_096 });
function parentOf(...fields: readonly string[]): string | undefined {
  const bytes = Buffer.from(['GET / HTTP/1.1', 'Host: h', ...fields, '', ''].join('\r\n'), 'latin1');
  head.reset();
  expect(head.parse(bytes, bytes.length)).toBe(Progress.DONE);
  return head.fields.trace.parent(bytes);
}

describe('TraceFields', () => {
  it.each([
    [[`traceparent: ${w3c}`], w3c],
    [[`TraceParent:${w3c} `], w3c],
    [[`traceparent: 00-${trace}-${span}-00`], `00-${trace}-${span}-00`],
    [[`traceparent: cc-${trace}-${span}-01-more`], w3c],
    [[`b3: ${trace}-${span}-1-${parent}`], w3c],
    [[`b3: ${trace.toUpperCase()}-${span}`], w3c],
    [[`b3: ${trace}-${span}-0`], `00-${trace}-${span}-00`],
    [[`b3: ${short}-${span}-d`], `00-${'0'.repeat(16)}${short}-${span}-01`],
    [[`X-B3-TraceId: ${trace}`, `X-B3-SpanId: ${span}`], w3c],
    [[`x-b3-traceid: ${trace}`, `x-b3-spanid: ${span}`, 'x-b3-sampled: 0'], `00-${trace}-${span}-00`],
    [[`traceparent: ${w3c}`, `b3: ${trace}-${parent}-0`], w3c],
  ])('reads %j', (fields, expected) => expect(parentOf(...fields)).toBe(expected));

  it.each([
    [[]],
    [['traceparent: 00']],
    [[`traceparent: ff-${trace}-${span}-01`]],
    [[`traceparent: 00-${'0'.repeat(32)}-${span}-01`]],
    [[`traceparent: 00-${trace}-${'0'.repeat(16)}-01`]],
    [[`traceparent: ${w3c.toUpperCase().replace('4BF', 'XYZ')}`]],
    [['b3: 0']],
    [[`x-b3-traceid: ${trace}`]],
    [[`traceparent: ${w3c}${'-x'.repeat(100)}`]],
  ])('takes %j for nothing', (fields) => expect(parentOf(...fields)).toBeUndefined());

  it('does not remember the request before', () => {
    parentOf(`traceparent: ${w3c}`);
    expect(parentOf()).toBeUndefined();
  });
});
