// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { weir } from '@weir/proto';
import fc from 'fast-check';
import { CallBatch, type LoggedCall } from './call-batch.ts';
import { encodeCallFields, encodeFlowFields, encodeTraceFields } from './call-fields.ts';

const flow = { source: '10.0.0.1', sourcePort: 40_000, destination: 'fd00::2', destinationPort: 80 };
const policy = { revision: 1, sourceIdentity: 300, destinationIdentity: 65_535, egressRuleSet: 0, ingressRuleSet: 7 };
const httpCall = { method: 'GET', path: '/a?b', host: 'h:80', ambiguousPath: false };

const call = (overrides: Partial<LoggedCall> = {}): LoggedCall => ({
  flowFields: encodeFlowFields(flow, policy),
  callFields: encodeCallFields(httpCall, { verdict: 'denied', reason: 'because', deniedByRuleSet: 7 }),
  traceFields: encodeTraceFields(undefined),
  timeNs: 1_800_000_000_123_456_000,
  latencyNs: 51_234,
  status: 403,
  minorVersion: 1,
  ...overrides,
});

const decode = (message: Buffer) => weir.proxy.v1.ProxyMessage.decode(message).accessLog;

describe('CallBatch', () => {
  it('writes of which trace a call is part', () => {
    const batch = new CallBatch(10);
    batch.add(call({ traceFields: encodeTraceFields('00-ab-cd-01') }));
    batch.add(call());
    const log = decode(batch.seal(0));
    expect(log?.calls?.map(({ traceParent, host }) => [traceParent, host])).toEqual([
      ['00-ab-cd-01', 'h:80'],
      ['', 'h:80'],
    ]);
  });

  it('writes what the contract of the agent reads', () => {
    const batch = new CallBatch(10);
    batch.add(call());
    batch.add(call({ callFields: encodeCallFields(undefined, { verdict: 'error', reason: 'x' }), minorVersion: 0 }));
    const log = decode(batch.seal(5));
    expect(log?.lost).toBe(5);
    expect(log?.calls).toHaveLength(2);
    expect({ ...log?.calls?.[0] }).toEqual({
      timeNs: 1_800_000_000_123_456_000,
      latencyNs: 51_234,
      verdict: weir.proxy.v1.CallVerdict.CALL_VERDICT_DENIED,
      reason: 'because',
      sourceAddress: Buffer.from([10, 0, 0, 1]),
      sourcePort: 40_000,
      destinationAddress: Buffer.from('fd000000000000000000000000000002', 'hex'),
      destinationPort: 80,
      sourceIdentity: 300,
      destinationIdentity: 65_535,
      ingressRuleSet: 7,
      deniedByRuleSet: 7,
      method: 'GET',
      path: '/a?b',
      host: 'h:80',
      protocol: 'HTTP/1.1',
      status: 403,
      headerDifferences: [],
    });
    expect(log?.calls?.[1]).toMatchObject({ protocol: 'HTTP/1.0', reason: 'x', verdict: 3 });
  });

  it('writes any number that a double holds', () => {
    const number = fc.oneof(
      fc.nat(),
      fc.maxSafeNat(),
      fc.constantFrom(0, 127, 128, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1),
    );
    fc.assert(
      fc.property(number, number, fc.nat(999), (timeNs, latencyNs, status) => {
        const batch = new CallBatch(2);
        batch.add(call({ timeNs, latencyNs, status }));
        expect(decode(batch.seal(latencyNs))).toMatchObject({
          lost: latencyNs,
          calls: [{ timeNs, latencyNs, status }],
        });
      }),
    );
  });

  it('is full at its number of calls, or at 64 KiB, and empty when it is sealed', () => {
    const few = new CallBatch(2);
    expect([few.add(call()), few.add(call()), few.add(call())]).toEqual([true, true, false]);
    few.seal(0);
    expect(few.add(call())).toBe(true);

    const many = new CallBatch(100_000);
    const path = 'x'.repeat(100_000);
    const long = call({ callFields: encodeCallFields({ ...httpCall, path }, { verdict: 'forwarded' }) });
    let count = 0;
    while (many.add(long)) count++;
    const message = many.seal(0);
    expect(message.length).toBeLessThanOrEqual(64 * 1024);
    expect(decode(message)?.calls).toHaveLength(count);
    expect(decode(message)?.calls?.[0]?.path).toHaveLength(2048);
  });
});
