// SPDX-License-Identifier: Apache-2.0
import { beforeEach, describe, expect, it } from '@jest/globals';
import { direction, dropReason, type Event, event, eventFlag, eventType, toBytes } from '@weir/datapath-layout';
import { parseIpAddress } from '@weir/model';
import type { flow } from '@weir/proto';
import { createAddressTexts } from './address-texts.ts';
import { KernelFlow } from './kernel-flow.ts';
import { createNames, type Names } from './names.ts';

const base: Event = {
  ...{ timeNs: 0n, type: eventType.drop, reason: 0, direction: direction.ingress, point: 0 },
  ...{ protocol: 6, tcpFlags: 2, flags: 0, icmpType: 0, length: 60, ifindex: 7 },
  ...{ source: parseIpAddress('10.0.0.2'), destination: parseIpAddress('10.9.9.9'), sourcePort: 1234 },
  ...{ destinationPort: 80, sourceIdentity: 300, destinationIdentity: 400, sourceEndpoint: 1, destinationEndpoint: 2 },
  ...{ egressCookie: 5, ingressCookie: 6 },
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

/** The policies that a flow names as against it. */
function deniedBy(fields: Partial<Event>): { egress: (string | undefined)[]; ingress: (string | undefined)[] } {
  const bytes = toBytes(event, { ...base, ...fields });
  const context = { names, addresses: createAddressTexts(), node: 'n1', emitter: {}, identifierOf: String };
  const record = { view: new DataView(bytes.buffer), offset: 0, timeNs: 1e6, number: 1 };
  const { egressDeniedBy, ingressDeniedBy } = new KernelFlow(context, record);
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
