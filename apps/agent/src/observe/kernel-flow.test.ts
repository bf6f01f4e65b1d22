// SPDX-License-Identifier: Apache-2.0
import { beforeEach, describe, expect, it } from '@jest/globals';
import {
  direction,
  dropReason,
  type Event,
  event,
  eventFlag,
  eventType,
  policyMatch,
  toBytes,
} from '@weir/datapath-layout';
import { parseIpAddress } from '@weir/model';
import type { flow } from '@weir/proto';
import { createAddressTexts } from './address-texts.ts';
import { KernelFlow } from './kernel-flow.ts';
import { createMacTexts } from './mac-texts.ts';
import { createNames, type Names } from './names.ts';

const base: Event = {
  ...{ timeNs: 0n, type: eventType.drop, reason: 0, direction: direction.ingress, point: 0 },
  ...{ protocol: 6, tcpFlags: 2, flags: 0, icmpType: 0, length: 60, ifindex: 7 },
  ...{ source: parseIpAddress('10.0.0.2'), destination: parseIpAddress('10.9.9.9'), sourcePort: 1234 },
  ...{ destinationPort: 80, sourceIdentity: 300, destinationIdentity: 400, sourceEndpoint: 1, destinationEndpoint: 2 },
  ...{ egressCookie: 5, ingressCookie: 6, socketCookie: 0n, cgroup: 0n, icmpCode: 0, match: 0 },
  ...{ sourceMac: new Uint8Array(6), destinationMac: new Uint8Array(6) },
};

let names: Names;
beforeEach(() => {
  names = createNames();
  names.apply({ kind: 'cookie', number: 5, policies: ['CiliumNetworkPolicy/default/out'] });
  names.apply({ kind: 'cookie', number: 6, policies: ['CiliumNetworkPolicy/default/in'] });
  const deny = (identity: number, policy: string) => {
    const subject = { identity, ingress: [`${policy}-in`], egress: [`${policy}-out`] };
    names.apply({ kind: 'default-deny', atMs: 0, subject });
  };
  deny(300, 'CiliumNetworkPolicy/default/a');
  deny(400, 'CiliumNetworkPolicy/default/b');
  deny(1, 'CiliumClusterwideNetworkPolicy//nodes');
});

function flowOf(fields: Partial<Event>): KernelFlow {
  const bytes = toBytes(event, { ...base, ...fields });
  const texts = { addresses: createAddressTexts(), macs: createMacTexts() };
  const context = { names, ...texts, node: 'n1', nodeLabels: ['zone=a'], emitter: {}, identifierOf: String };
  return new KernelFlow(context, { view: new DataView(bytes.buffer), offset: 0, timeNs: 1e6, number: 1 });
}

/** The policies that a flow names as against it. */
function deniedBy(fields: Partial<Event>): { egress: (string | undefined)[]; ingress: (string | undefined)[] } {
  const { egressDeniedBy, ingressDeniedBy } = flowOf(fields);
  const texts = (policies: readonly flow.Policy.$Properties[]) => policies.map(({ name }) => name ?? undefined);
  return { egress: texts(egressDeniedBy), ingress: texts(ingressDeniedBy) };
}

describe('the policies that a flow is denied by', () => {
  const [inwards, outwards] = [direction.ingress, direction.egress];

  it.each([
    { reason: dropReason.policyDenied, way: inwards, by: { egress: [], ingress: ['b-in'] } },
    { reason: dropReason.policyDenied, way: outwards, by: { egress: ['a-out'], ingress: [] } },
    { reason: dropReason.policyDeny, way: inwards, by: { egress: [], ingress: ['in'] } },
    { reason: dropReason.noConfiguration, way: outwards, by: { egress: ['out'], ingress: [] } },
    { reason: dropReason.proxyUnsupportedProtocol, way: inwards, by: { egress: [], ingress: ['in'] } },
    { reason: dropReason.proxyNeedsNewConnection, way: outwards, by: { egress: ['out'], ingress: [] } },
    { reason: dropReason.invalidSourceIp, way: inwards, by: { egress: [], ingress: [] } },
  ])('are those behind the reason $reason in the direction $way', ({ reason, way, by }) => {
    expect(deniedBy({ reason, direction: way })).toEqual(by);
  });

  it('are those that want the proxy, whichever way the packet went', () => {
    for (const way of [inwards, outwards]) {
      const drop = { reason: dropReason.proxyNotListening, direction: way };
      expect(deniedBy({ ...drop, egressCookie: 0 })).toEqual({ egress: [], ingress: ['in'] });
      expect(deniedBy({ ...drop, ingressCookie: 0 })).toEqual({ egress: ['out'], ingress: [] });
    }
  });

  it('are those for nodes where the host is the end that decided, also of an answer', () => {
    const drop = { reason: dropReason.policyDenied, direction: inwards };
    expect(deniedBy({ ...drop, destinationIdentity: 1 }).ingress).toEqual(['nodes-in']);
    expect(deniedBy({ ...drop, sourceIdentity: 1, flags: eventFlag.reply }).ingress).toEqual(['nodes-in']);
    expect(deniedBy({ ...drop, direction: outwards, sourceIdentity: 1 }).egress).toEqual(['nodes-out']);
  });

  it('are named where audit mode lets it pass', () => {
    const audited = { type: eventType.policyVerdict, flags: eventFlag.audited, reason: dropReason.policyDenied };
    expect(deniedBy(audited)).toEqual({ egress: [], ingress: ['b-in'] });
    expect(deniedBy({ ...audited, flags: 0, reason: 0 })).toEqual({ egress: [], ingress: [] });
  });
});

describe('the fields of a flow', () => {
  const verdict = { type: eventType.policyVerdict, egressCookie: 0, match: (policyMatch.l3L4 << 4) | policyMatch.all };

  it('have the match of the direction that decided', () => {
    expect(flowOf(verdict)).toMatchObject({ trafficDirection: 1, policyMatchType: policyMatch.l3L4 });
    const outwards = { ...verdict, egressCookie: 5, ingressCookie: 0, direction: direction.egress };
    expect(flowOf(outwards)).toMatchObject({ trafficDirection: 2, policyMatchType: policyMatch.all });
    expect(flowOf({ ...verdict, type: eventType.trace }).policyMatchType).toBe(0);
    expect(flowOf({ match: 0xff, reason: dropReason.invalidSourceIp }).policyMatchType).toBe(0);
    expect(flowOf({ match: verdict.match, reason: dropReason.policyDeny }).policyMatchType).toBe(policyMatch.l3L4);
  });

  it('have the link, the socket and the labels of the node', () => {
    const [sourceMac, destinationMac] = [Uint8Array.of(2, 0, 0, 0, 0, 0x1f), Uint8Array.of(0xee, 1, 2, 3, 4, 5)];
    expect(flowOf({ sourceMac, destinationMac, socketCookie: 77n, cgroup: 99n })).toMatchObject({
      ethernet: { source: '02:00:00:00:00:1f', destination: 'ee:01:02:03:04:05' },
      ...{ socketCookie: 77, cgroupId: 99, nodeLabels: ['zone=a'] },
    });
    expect(flowOf({}).ethernet).toBeNull();
  });

  it('have type and code of ICMP', () => {
    const unreachable = flowOf({ protocol: 1, icmpType: 3, icmpCode: 3 });
    expect(unreachable.l4).toEqual({ ICMPv4: { type: 3, code: 3 } });
    expect(unreachable.Summary).toBe('ICMPv4 DestinationUnreachable(Port)');
  });

  it('have the services of both ends, as they were', () => {
    const end = { address: '10.9.9.9', port: 80, protocol: 6 };
    names.apply({
      kind: 'service',
      atMs: 0,
      service: { namespace: 'shop', name: 'web', frontends: [], backends: [end] },
    });
    names.apply({ kind: 'service-gone', atMs: 5, key: 'shop/web' });
    expect(flowOf({}).destinationService).toEqual({ namespace: 'shop', name: 'web' });
    expect([flowOf({}).sourceService, flowOf({ destinationPort: 81 }).destinationService]).toEqual([null, null]);
  });
});
