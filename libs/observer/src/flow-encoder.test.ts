// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import type { Flow } from '@weir/flow';
import { observer } from '@weir/proto';
import fc from 'fast-check';
import { createFlowEncoder } from './index.ts';

const optional = <Value>(of: fc.Arbitrary<Value>) => fc.option(of, { nil: undefined });
const uint = (max: number) => fc.nat({ max });
const text = fc.string({ unit: 'grapheme', maxLength: 200 });
const time = fc.record({ seconds: uint(2 ** 40), nanos: uint(999_999_999) });
const ports = fc.record({ sourcePort: uint(65_535), destinationPort: uint(65_535) });
const flags = fc.record({ FIN: fc.boolean(), SYN: fc.boolean(), ACK: fc.boolean(), NS: fc.boolean() });
const policy = fc.record({ name: text, namespace: text, kind: text });
const service = fc.record({ name: text, namespace: text });
const end = fc.record({
  ID: uint(65_535),
  identity: uint(2 ** 32 - 1),
  namespace: text,
  labels: fc.array(text, { maxLength: 5 }),
});
const icmp = fc.record({ type: uint(255), code: uint(255) });
const layer4 = fc.oneof(
  fc.record({ TCP: fc.tuple(ports, optional(flags)).map(([each, set]) => ({ ...each, flags: set })) }),
  fc.record({ UDP: ports }),
  fc.record({ SCTP: ports }),
  fc.record({ ICMPv4: icmp }),
  fc.record({ ICMPv6: icmp }),
);
const layer7 = fc.record({
  type: uint(3),
  latencyNs: uint(2 ** 40),
  http: fc.record({ code: uint(599), method: text, url: text }),
});
const flows: fc.Arbitrary<Flow> = fc.record({
  ...{
    time: optional(time),
    verdict: uint(7),
    dropReason: uint(255),
    dropReasonDesc: uint(205) as fc.Arbitrary<never>,
  },
  IP: optional(fc.record({ source: text, destination: text, ipVersion: uint(2), encrypted: fc.boolean() })),
  ...{ l4: optional(layer4), source: optional(end), destination: optional(end), Type: uint(3), nodeName: text },
  ...{ l7: optional(layer7), reply: fc.boolean(), isReply: optional(fc.record({ value: fc.boolean() })) },
  eventType: optional(fc.record({ type: uint(130), subType: uint(255) })),
  ...{ trafficDirection: uint(2), policyMatchType: uint(6), traceObservationPoint: uint(101), traceReason: uint(8) },
  ...{ interface: optional(fc.record({ index: uint(2 ** 31), name: text })), proxyPort: uint(65_535), uuid: text },
  traceContext: optional(fc.record({ parent: fc.record({ traceId: text }) })),
  nodeLabels: fc.array(text, { maxLength: 3 }),
  emitter: optional(fc.record({ name: text, version: text })),
  ...{ egressAllowedBy: fc.array(policy, { maxLength: 3 }), ingressDeniedBy: fc.array(policy, { maxLength: 3 }) },
  ...{ Summary: text, sourceNames: fc.array(text, { maxLength: 1 }), authType: fc.constantFrom(0, 0, 0, 1) },
  ...{ ethernet: optional(fc.record({ source: text, destination: text })), socketCookie: uint(2 ** 40) },
  ...{ sourceService: optional(service), destinationService: optional(service), cgroupId: uint(2 ** 40) },
}) as fc.Arbitrary<Flow>;

const decoded = (bytes: Uint8Array): unknown => JSON.parse(JSON.stringify(observer.GetFlowsResponse.decode(bytes)));

describe('createFlowEncoder', () => {
  it('writes what the general encoder does, of any flow', () => {
    const encoder = createFlowEncoder();
    fc.assert(
      fc.property(flows, (each) => {
        const { nodeName, time: at } = each;
        const plain = { flow: each, nodeName: nodeName ?? '', ...(at ? { time: at } : {}) };
        expect(decoded(encoder.encode(each))).toEqual(decoded(observer.GetFlowsResponse.encode(plain).finish()));
      }),
      { numRuns: 300 },
    );
  });

  it('writes a flow that is larger than its buffer', () => {
    const labels = Array.from({ length: 1_000 }, (_, index) => `k8s:label-${index}=${'v'.repeat(50)}`);
    const each: Flow = { source: { labels }, Summary: 'S'.repeat(10_000) };
    const { flow: read } = observer.GetFlowsResponse.decode(createFlowEncoder().encode(each));
    expect([read?.source?.labels?.length, read?.Summary?.length]).toEqual([1_000, 10_000]);
  });
});
