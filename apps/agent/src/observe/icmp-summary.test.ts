// SPDX-License-Identifier: Apache-2.0
import { expect, it } from '@jest/globals';
import { icmpSummary } from './icmp-summary.ts';

it.each([
  { type: 8, code: 0, isIpv4: true, text: 'ICMPv4 EchoRequest' },
  { type: 3, code: 3, isIpv4: true, text: 'ICMPv4 DestinationUnreachable(Port)' },
  { type: 3, code: 99, isIpv4: true, text: 'ICMPv4 DestinationUnreachable(Code: 99)' },
  { type: 8, code: 7, isIpv4: true, text: 'ICMPv4 EchoRequest(Code: 7)' },
  { type: 11, code: 0, isIpv4: true, text: 'ICMPv4 TimeExceeded(TTLExceeded)' },
  { type: 99, code: 1, isIpv4: true, text: 'ICMPv4 99(1)' },
  { type: 1, code: 4, isIpv4: false, text: 'ICMPv6 DestinationUnreachable(PortUnreachable)' },
  { type: 129, code: 0, isIpv4: false, text: 'ICMPv6 EchoReply' },
])('icmpSummary() of type $type and code $code is $text', ({ text, ...message }) => {
  expect(icmpSummary(message)).toBe(text);
});
