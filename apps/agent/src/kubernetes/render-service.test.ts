// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import type { V1Endpoints, V1EndpointSlice, V1Service } from '@kubernetes/client-node';
import { serviceProblem } from '@weir/model';
import { readEndpoints, readEndpointSlice } from './endpoint-group.ts';
import { renderService } from './render-service.ts';
import { readService } from './service-object.ts';

const serviceOf = (spec: V1Service['spec'], more: V1Service = {}): V1Service => ({
  metadata: { namespace: 'shop', name: 'cart', labels: { team: 'a' } },
  spec: { clusterIP: '10.96.0.7', ports: [{ port: 80 }], ...spec },
  ...more,
});
const sliceOf = (endpoints: V1EndpointSlice['endpoints'], more: Partial<V1EndpointSlice> = {}): V1EndpointSlice => ({
  metadata: { namespace: 'shop', name: 'cart-x', labels: { 'kubernetes.io/service-name': 'cart' } },
  ...{ addressType: 'IPv4', ports: [{ port: 8080 }], endpoints: endpoints ?? [] },
  ...more,
});

function render(service: V1Service, ...slices: V1EndpointSlice[]) {
  const read = readService(service);
  if (read === undefined) return undefined;
  const groups = slices.flatMap((slice) => readEndpointSlice(slice)?.groups ?? []);
  const rendered = renderService(read, { groups, node: 'n1' });
  expect(serviceProblem(rendered.service)).toBeUndefined();
  return rendered;
}
const backends = (...given: Parameters<typeof render>): string[] =>
  (render(...given)?.service.backends ?? []).map(
    ({ address, port, portName, state, node }) => `${address}:${port} ${portName}/${state}/${node}`,
  );

describe('readService()', () => {
  it.each<[string, V1Service['spec']]>([
    ['headless', { clusterIP: 'None' }],
    ['only a name', { type: 'ExternalName', externalName: 'a.example' }],
    ['not given an address yet', { clusterIP: '' }],
  ])('has no interest in a service that is %s', (_, spec) => {
    expect(readService(serviceOf(spec))).toBeUndefined();
  });

  it('takes every address that clients within the cluster may call, once', () => {
    const ingress = [{ ip: '192.0.2.1' }, { ip: '192.0.2.2', ipMode: 'Proxy' }, { hostname: 'lb.example' }];
    const spec = { clusterIP: '10.96.0.7', clusterIPs: ['10.96.0.7', 'fd00::7'], externalIPs: ['192.0.2.9'] };
    const service = readService(serviceOf(spec, { status: { loadBalancer: { ingress } } }));
    expect(service?.addresses).toEqual(['10.96.0.7', 'fd00::7', '192.0.2.9', '192.0.2.1']);
  });
});

describe('renderService()', () => {
  it('has a frontend for each address and port, and says what is not balanced', () => {
    const ports = [
      { name: 'web', port: 80, protocol: 'TCP' },
      { name: 'dns', port: 53, protocol: 'UDP' },
      { name: 'sctp', port: 9, protocol: 'SCTP' },
    ];
    const rendered = render(serviceOf({ clusterIPs: ['10.96.0.7', 'fd00::7'], ports, selector: { app: 'cart' } }));
    expect(rendered?.service.frontends.map(({ address, port, protocol }) => `${address} ${port}/${protocol}`)).toEqual([
      '10.96.0.7 80/TCP',
      '10.96.0.7 53/UDP',
      'fd00::7 80/TCP',
      'fd00::7 53/UDP',
    ]);
    expect(rendered?.leftOut).toBe('9/SCTP is not balanced: expected TCP or UDP');
    expect(rendered?.service).toMatchObject({ owner: 'kubernetes', labels: { team: 'a' }, selector: { app: 'cart' } });
  });

  it('keeps clients with a backend for as long as the service says, three hours by default', () => {
    const timeoutOf = (spec: V1Service['spec']) => render(serviceOf(spec))?.service.affinityTimeoutS;
    const sessionAffinityConfig = { clientIP: { timeoutSeconds: 60 } };
    expect(timeoutOf({})).toBe(0);
    expect(timeoutOf({ sessionAffinity: 'ClientIP' })).toBe(10_800);
    expect(timeoutOf({ sessionAffinity: 'ClientIP', sessionAffinityConfig })).toBe(60);
  });

  it('has the endpoints that are ready, or end while they serve', () => {
    const slice = sliceOf([
      { addresses: ['10.0.0.1'], nodeName: 'n1' },
      { addresses: ['10.0.0.2'], conditions: { ready: true }, nodeName: 'n2' },
      { addresses: ['10.0.0.3'], conditions: { ready: false } },
      { addresses: ['10.0.0.4'], conditions: { ready: false, serving: true, terminating: true } },
      { addresses: ['10.0.0.5'], conditions: { ready: false, serving: false, terminating: true } },
    ]);
    expect(backends(serviceOf({}), slice)).toEqual([
      '10.0.0.1:8080 /active/n1',
      '10.0.0.2:8080 /active/n2',
      '10.0.0.4:8080 /terminating/',
    ]);
  });

  it('has an endpoint of two slices once, ready if one of them says so', () => {
    const ending = { ready: false, serving: true, terminating: true };
    const one = sliceOf([{ addresses: ['10.0.0.1'], conditions: ending }]);
    expect(backends(serviceOf({}), one, sliceOf([{ addresses: ['10.0.0.1'] }]))).toEqual(['10.0.0.1:8080 /active/']);
  });

  it('has only what serves a port and a family of the service', () => {
    const slice = sliceOf([{ addresses: ['10.0.0.1'] }], {
      ports: [
        { name: 'web', port: 1 },
        { name: 'other', port: 2 },
      ],
    });
    const six = sliceOf([{ addresses: ['fd00::1'] }], { addressType: 'IPv6', ports: [{ name: 'web', port: 1 }] });
    const names = sliceOf([{ addresses: ['a.example'] }], { addressType: 'FQDN', ports: [{ name: 'web', port: 1 }] });
    const service = serviceOf({ ports: [{ name: 'web', port: 80 }] });
    expect(backends(service, slice, six, names)).toEqual(['10.0.0.1:1 web/active/']);
  });

  it('has only what runs on the node where the service says so', () => {
    const slice = sliceOf([
      { addresses: ['10.0.0.1'], nodeName: 'n1' },
      { addresses: ['10.0.0.2'], nodeName: 'n2' },
    ]);
    expect(backends(serviceOf({ internalTrafficPolicy: 'Local' }), slice)).toEqual(['10.0.0.1:8080 /active/n1']);
  });
});

describe('readEndpointSlice()', () => {
  it('reads where endpoints are in slices of v1beta1, too', () => {
    const topology = { 'kubernetes.io/hostname': 'n2', 'topology.kubernetes.io/zone': 'z' };
    const old = sliceOf([{ addresses: ['10.0.0.1'], topology } as never]);
    expect(readEndpointSlice(old)?.groups[0]?.endpoints).toMatchObject([{ node: 'n2', zone: 'z' }]);
  });

  it('has no interest in slices of no service', () => {
    expect(readEndpointSlice(sliceOf([], { metadata: { namespace: 'shop', name: 'x' } }))).toBeUndefined();
  });
});

describe('readEndpoints()', () => {
  it('reads each subset with its own ports, without what is not ready', () => {
    const object: V1Endpoints = {
      metadata: { namespace: 'shop', name: 'cart' },
      subsets: [
        {
          ports: [{ name: 'web', port: 1 }],
          ...{ addresses: [{ ip: '10.0.0.1', nodeName: 'n1' }], notReadyAddresses: [{ ip: '10.0.0.2' }] },
        },
        { ports: [{ name: 'web', port: 2 }], addresses: [{ ip: '10.0.0.3' }] },
      ],
    };
    const { service, groups } = readEndpoints(object);
    expect(service).toBe('shop/cart');
    const given = { ...readService(serviceOf({ ports: [{ name: 'web', port: 80 }] }))! };
    const rendered = renderService(given, { groups, node: 'n1' });
    expect(rendered.service.backends.map(({ address, port, node }) => [address, port, node])).toEqual([
      ['10.0.0.1', 1, 'n1'],
      ['10.0.0.3', 2, ''],
    ]);
  });
});
