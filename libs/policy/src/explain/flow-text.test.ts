// SPDX-License-Identifier: Apache-2.0
import { formatCidr, formatIpAddress, formatLabelSet } from '@weir/model';
import { parseFlowEnd, parseFlowPort, parseHttpRequest, type WrittenEnd } from './flow-text.ts';

function describeEnd(end: WrittenEnd): string {
  switch (end.kind) {
    case 'identity':
      return `identity ${end.id}`;
    case 'endpoint':
      return `endpoint ${end.reference}`;
    case 'address':
      return `address ${formatIpAddress(end.address)}`;
    case 'prefix':
      return `prefix ${formatCidr(end.prefix)}`;
    case 'labels':
      return `labels ${formatLabelSet(end.labels).join(' ')}`;
  }
}

const cluster = 'k8s:io.cilium.k8s.policy.cluster=default';

describe('parseFlowEnd()', () => {
  it.each([
    ['10.0.0.1', 'address 10.0.0.1'],
    ['FD00::1', 'address fd00::1'],
    ['10.1.2.3/8', 'prefix 10.0.0.0/8'],
    ['fd00::/8', 'prefix fd00::/8'],
    ['shop/web', 'endpoint shop/web'],
    ['web', 'endpoint web'],
    ['7', 'endpoint 7'],
    ['endpoint:7', 'endpoint 7'],
    ['identity:300', 'identity 300'],
    ['world', 'labels reserved:world'],
    ['reserved:host', 'labels reserved:host'],
    ['k8s:app=web,container:x', 'labels container:x k8s:app=web'],
    ['app=web', `labels k8s:app=web ${cluster} k8s:io.kubernetes.pod.namespace=default`],
    ['shop/app=web,tier=a', `labels k8s:app=web ${cluster} k8s:io.kubernetes.pod.namespace=shop k8s:tier=a`],
    [
      'app.kubernetes.io/name=web',
      `labels k8s:app.kubernetes.io/name=web ${cluster} k8s:io.kubernetes.pod.namespace=default`,
    ],
  ])('reads %s as %s', (text, expected) => {
    expect(describeEnd(parseFlowEnd(text))).toBe(expected);
  });

  it.each([
    ['', 'End of a flow is empty; expected an address'],
    ['a b=c', 'is not a label key'],
  ])('refuses "%s"', (text, message) => {
    expect(() => parseFlowEnd(text)).toThrow(message);
  });
});

describe('parseFlowPort()', () => {
  it.each([
    ['80', { protocol: 6, port: 80 }],
    ['80/tcp', { protocol: 6, port: 80 }],
    ['53/UDP', { protocol: 17, port: 53 }],
    ['8/icmp', { protocol: 1, port: 264 }],
    ['EchoRequest/icmpv6', { protocol: 58, port: 384 }],
    ['47', { protocol: 6, port: 47 }],
  ])('reads %s', (text, expected) => {
    expect(parseFlowPort(text)).toEqual(expected);
  });

  it.each(['tcp', 'icmp', 'any', '70000/tcp', '1/gre', '300/icmp', 'http/tcp', ''])('refuses "%s"', (text) => {
    expect(() => parseFlowPort(text)).toThrow(/^"/);
  });
});

describe('parseHttpRequest()', () => {
  it('reads method, path and headers, among them the host', () => {
    expect(parseHttpRequest('PUT /v1/x?y=1', ['Host: h', 'X-A:1'])).toEqual({
      ...{ method: 'PUT', path: '/v1/x?y=1', host: 'h' },
      headers: [
        { name: 'Host', value: 'h' },
        { name: 'X-A', value: '1' },
      ],
    });
  });

  it.each(['/v1', 'GET', 'GET v1', 'G T /'])('refuses "%s"', (text) => {
    expect(() => parseHttpRequest(text)).toThrow('is not a request; expected METHOD PATH');
    expect(() => parseHttpRequest('GET /', [text.replace(':', '')])).toThrow('is not a header');
  });
});
