// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { WeirError } from '@weir/errors';
import { parseIpAddress } from '@weir/model';
import { cniErrorOf } from './cni-error.ts';
import { cniResult } from './cni-result.ts';

const pod = {
  ...{ ifName: 'eth0', netns: '/run/netns/a', mac: '02:00:00:00:00:01', mtu: 1400 },
  ...{ hostInterface: 'weir7', hostMac: 'ee:ee:ee:ee:ee:ee' },
  ...{ ipv4: parseIpAddress('10.0.0.2'), ipv6: parseIpAddress('fd00::2') },
  ...{ ipv4Gateway: parseIpAddress('10.0.0.1'), ipv6Gateway: parseIpAddress('fd00::1') },
};
const interfaces = [
  { name: 'weir7', mac: 'ee:ee:ee:ee:ee:ee' },
  { name: 'eth0', mac: '02:00:00:00:00:01', sandbox: '/run/netns/a' },
];
const ips = [
  { address: '10.0.0.2/32', gateway: '10.0.0.1', interface: 1 },
  { address: 'fd00::2/128', gateway: 'fd00::1', interface: 1 },
];
const routes = [
  { dst: '0.0.0.0/0', gw: '10.0.0.1' },
  { dst: '::/0', gw: 'fd00::1' },
];

describe('cniResult()', () => {
  it.each(['0.3.1', '0.4.0'])('names the family of each address for version %s', (cniVersion) => {
    const versioned = [
      { version: '4', ...ips[0] },
      { version: '6', ...ips[1] },
    ];
    expect(cniResult(pod, cniVersion)).toEqual({ cniVersion, interfaces, ips: versioned, routes, dns: {} });
  });

  it('does not for 1.0.0', () => {
    expect(cniResult(pod, '1.0.0')).toEqual({ cniVersion: '1.0.0', interfaces, ips, routes, dns: {} });
  });

  it('adds the MTU of interfaces for 1.1.0', () => {
    const withMtu = interfaces.map((each) => ({ ...each, mtu: 1400 }));
    expect(cniResult(pod, '1.1.0')).toEqual({ cniVersion: '1.1.0', interfaces: withMtu, ips, routes, dns: {} });
  });
});

describe('cniErrorOf()', () => {
  it.each([
    ['INVALID_ARGUMENT', {}, 7],
    ['INVALID_ARGUMENT', { cniCode: 1 }, 1],
    ['NOT_FOUND', {}, 3],
    ['UNAVAILABLE', {}, 11],
    ['TIMEOUT', {}, 11],
    ['CANCELLED', {}, 11],
    ['RESOURCE_EXHAUSTED', {}, 100],
    ['RESOURCE_EXHAUSTED', { cniCode: 50 }, 50],
    ['INTERNAL', {}, 100],
  ] as const)('makes of %s %j the code %i', (code, details, expected) => {
    expect(cniErrorOf(new WeirError(code, 'No', { details }), '1.0.0')).toEqual({
      cniVersion: '1.0.0',
      code: expected,
      msg: 'No',
    });
  });

  it('gives the cause as details', () => {
    const cause = new TypeError('inner');
    expect(cniErrorOf(new WeirError('INTERNAL', 'outer', { cause }), '1.0.0')).toMatchObject({ details: 'inner' });
    expect(cniErrorOf(cause, '1.0.0')).toEqual({ cniVersion: '1.0.0', code: 100, msg: 'inner' });
  });
});
