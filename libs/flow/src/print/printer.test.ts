// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { flow, type observer, relay } from '@weir/proto';
import { createFlowPrinter, type FlowFormat } from '../index.ts';

const { Verdict, TrafficDirection, LostEventSource } = flow;
const time = { seconds: 1_767_323_045, nanos: 678_000_000 };
const base: flow.Flow.$Properties = {
  time,
  nodeName: 'n1',
  verdict: Verdict.FORWARDED,
  IP: { source: '10.0.0.1', destination: '93.184.216.34', ipVersion: 1 },
  l4: { TCP: { sourcePort: 40_000, destinationPort: 80 } },
  source: { namespace: 'ns', podName: 'pod-a', identity: 1234 },
  destination: { identity: 2 },
  destinationNames: ['example.com'],
  eventType: { type: 4, subType: 0 },
  isReply: { value: false },
  Summary: 'TCP Flags: SYN',
};

function print(format: FlowFormat, responses: observer.GetFlowsResponse.$Properties[], options: object = {}): string {
  const printer = createFlowPrinter({ format, ...options });
  return responses.map((each) => printer.print(each).out ?? '').join('') + printer.finish();
}
const compact = (changes: object, options: object = {}): string =>
  print('compact', [{ flow: { ...base, ...changes } }], options);

describe('the compact form', () => {
  it('has both ends, the point, the verdict and the summary', () => {
    expect(compact({})).toBe(
      'Jan  2 03:04:05.678: ns/pod-a:40000 (ID:1234) -> example.com:80 (world) to-endpoint FORWARDED (TCP Flags: SYN)\n',
    );
  });

  it('of a verdict has how it matched, the direction and who decided', () => {
    const changes = {
      eventType: { type: 5 },
      verdict: Verdict.DROPPED,
      policyMatchType: 2,
      trafficDirection: TrafficDirection.EGRESS,
      egressDeniedBy: [{ name: 'p', namespace: 'ns', kind: 'CiliumNetworkPolicy' }],
    };
    expect(compact(changes)).toContain('policy-verdict:L3-L4 EGRESS DENIED (TCP');
    expect(compact(changes, { policyNames: true })).toContain('EGRESS DENIED BY p (CiliumNetworkPolicy) (TCP');
  });

  it('of a reply has the ends the other way round', () => {
    const l7 = { type: flow.L7FlowType.RESPONSE, http: { code: 200 } };
    const changes = { isReply: { value: true }, l7, Summary: 'HTTP/1.1 200 5ms (GET http://x/y)' };
    expect(compact(changes)).toBe(
      'Jan  2 03:04:05.678: example.com:80 (world) <- ns/pod-a:40000 (ID:1234) http-response FORWARDED (HTTP/1.1 200 5ms (GET http://x/y))\n',
    );
  });

  it('of what may be a reply or not says so, and of a drop why', () => {
    const changes = { isReply: null, verdict: Verdict.DROPPED, eventType: { type: 1, subType: 133 } };
    expect(compact(changes)).toContain(' <> example.com:80 (world) Policy denied DROPPED ');
  });

  it.each([
    [
      { numeric: true },
      { IP: { source: 'fd00::1', destination: 'fd00::2' } },
      '[fd00::1]:40000 (ID:1234) -> [fd00::2]:80',
    ],
    [{ nodeNames: true }, {}, 'Jan  2 03:04:05.678 [n1]: ns/pod-a'],
    [{}, { destinationService: { name: 'svc', namespace: 'o' } }, '-> o/svc:80 (world)'],
    [{}, { IP: null, ethernet: { source: 'aa:bb', destination: 'cc:dd' } }, ': aa:bb (ID:1234) -> cc:dd (world)'],
    [{}, { time: null, eventType: null }, 'N/A: ns/pod-a:40000 (ID:1234) -> example.com:80 (world) UNKNOWN FORWARDED'],
  ])('with %j of %j: %s', (options, changes, text) => expect(compact(changes, options)).toContain(text));
});

it('tells how many events were lost, and where', () => {
  const lostEvents = { source: LostEventSource.HUBBLE_RING_BUFFER, numEventsLost: 7 };
  expect(print('compact', [{ time, lostEvents }])).toBe(
    'Jan  2 03:04:05.678 EVENTS LOST: HUBBLE_RING_BUFFER CPU(0) 7\n',
  );
});

it('tells of nodes that fail on the other output', () => {
  const nodeStatus = { stateChange: relay.NodeState.NODE_ERROR, nodeNames: ['a', 'b'], message: 'no "x"' };
  const response = { time, nodeName: 'relay', nodeStatus };
  expect(createFlowPrinter({ format: 'compact' }).print(response)).toEqual({
    error: 'Jan  2 03:04:05.678 [relay]: Error "no \\"x\\"" on 2 nodes: a, b\n',
  });
  expect(createFlowPrinter({ format: 'compact', silentErrors: true }).print(response)).toEqual({ error: '' });
});

it('separates flows in the dict form', () => {
  expect(print('dict', [{ flow: base }, { flow: base }]).split('------------\n')).toHaveLength(2);
  expect(print('dict', [{ flow: base }])).toBe(
    [
      '  TIMESTAMP: Jan  2 03:04:05.678',
      '     SOURCE: ns/pod-a:40000',
      'DESTINATION: example.com:80',
      '       TYPE: to-endpoint',
      '    VERDICT: FORWARDED',
      '    SUMMARY: TCP Flags: SYN\n',
    ].join('\n'),
  );
});

it('aligns the columns of the table form', () => {
  expect(print('table', [{ flow: base }])).toBe(
    [
      'TIMESTAMP             SOURCE           DESTINATION      TYPE          VERDICT     SUMMARY',
      'Jan  2 03:04:05.678   ns/pod-a:40000   example.com:80   to-endpoint   FORWARDED   TCP Flags: SYN\n',
    ].join('\n'),
  );
});

it('prints one JSON object a line', () => {
  const line = print('json', [{ flow: base, nodeName: 'n1', time }]);
  expect(JSON.parse(line)).toMatchObject({ flow: { verdict: 'FORWARDED', is_reply: false }, node_name: 'n1' });
});
