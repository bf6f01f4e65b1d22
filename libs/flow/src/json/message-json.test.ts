// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { flow, type observer } from '@weir/proto';
import { compileFieldMask, messageFromJson, messageToJson } from '../index.ts';

const response: observer.GetFlowsResponse.$Properties = {
  flow: {
    time: { seconds: 1_767_323_045, nanos: 678_000_000 },
    verdict: flow.Verdict.FORWARDED,
    IP: { source: '1.1.1.1', ipVersion: flow.IPVersion.IPv4 },
    l4: { TCP: { sourcePort: 40_000, flags: { SYN: true } } },
    source: { ID: 7, podName: 'a', labels: ['k8s:app=a'] },
    isReply: { value: false },
    socketCookie: 12_345_678_901,
    Summary: 'TCP Flags: SYN',
  },
  nodeName: 'n1',
  time: { seconds: 1_767_323_045, nanos: 678_000_000 },
};
const json = {
  flow: {
    time: '2026-01-02T03:04:05.678Z',
    verdict: 'FORWARDED',
    IP: { source: '1.1.1.1', ipVersion: 'IPv4' },
    l4: { TCP: { source_port: 40_000, flags: { SYN: true } } },
    source: { ID: 7, labels: ['k8s:app=a'], pod_name: 'a' },
    is_reply: false,
    socket_cookie: '12345678901',
    Summary: 'TCP Flags: SYN',
  },
  node_name: 'n1',
  time: '2026-01-02T03:04:05.678Z',
};

describe('the JSON form of a message', () => {
  it('has the names of the contract, bare wrappers, and nothing that is not set', () => {
    expect(messageToJson('observer.GetFlowsResponse', response)).toEqual(json);
  });

  it('is read back as the same message', () => {
    expect(messageFromJson('observer.GetFlowsResponse', json)).toEqual(response);
  });

  it.each([
    [{ verdict: ['NOPE'] }, 'verdict[0] is "NOPE"; expected one of its names'],
    [{ nope: 1 }, 'nope is no field of flow.FlowFilter'],
    [{ source_pod: 'a' }, 'source_pod is "a"; expected a list'],
    [{ source_identity: [-1] }, 'source_identity[0] is -1; expected uint32'],
    [[], 'The message is []; expected an object'],
  ])('%j is refused: %s', (text, message) => {
    expect(() => messageFromJson('flow.FlowFilter', text)).toThrow(message);
  });
});

describe('compileFieldMask', () => {
  it('keeps what it names, and makes the parent of a nested path', () => {
    const mask = compileFieldMask(['source.pod_name', 'IP', 'destination.identity', 'Summary']);
    expect(mask?.(response.flow ?? {})).toEqual({
      source: { podName: 'a' },
      destination: {},
      IP: { source: '1.1.1.1', ipVersion: 1 },
      Summary: 'TCP Flags: SYN',
    });
  });

  it('of a parent and a child keeps the parent', () => {
    expect(compileFieldMask(['source.pod_name', 'source'])?.(response.flow ?? {})).toEqual({
      source: response.flow?.source,
    });
  });

  it('of nothing is none', () => expect(compileFieldMask([])).toBeUndefined());

  it.each(['nope', 'source.nope', 'source.labels.x', 'source.workloads.name', 'verdict.x', ''])(
    'refuses %j',
    (path) => {
      expect(() => compileFieldMask([path])).toThrow('invalid fieldmask');
    },
  );
});
