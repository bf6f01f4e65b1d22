// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { createManualClock } from '@weir/clock';
import { WeirError } from '@weir/errors';
import { createNodeErrors, nodeErrorText } from './node-errors.ts';

function start() {
  const clock = createManualClock();
  const told: string[] = [];
  const report = (nodes: readonly string[], message: string): void => void told.push(`${nodes.join()}: ${message}`);
  return { clock, told, errors: createNodeErrors({ quietMs: 1_000, windowMs: 10_000, clock, report }) };
}

describe('createNodeErrors', () => {
  it('tells of equal errors once, with all nodes, and of others by themselves', async () => {
    const { clock, told, errors } = start();
    errors.add('a', 'gone');
    await clock.advance(900);
    errors.add('b', 'gone');
    errors.add('c', 'stuck');
    errors.add('a', 'gone');
    await clock.advance(900);
    expect(told).toEqual([]);
    await clock.advance(100);
    expect(told).toEqual(['c: stuck', 'a,b: gone']);
    await clock.advance(60_000);
    expect(told).toHaveLength(2);
  });

  it('does not wait for ever while node after node fails', async () => {
    const { clock, told, errors } = start();
    for (let node = 0; node < 15; node++) {
      errors.add(String(node), 'gone');
      await clock.advance(900);
    }
    expect(told).toEqual(['0,1,2,3,4,5,6,7,8,9,10,11: gone']);
  });

  it('tells at once of what waits at the end, and nothing when nobody reads any more', async () => {
    const { clock, told, errors } = start();
    errors.add('a', 'gone');
    errors.flush();
    expect(told).toEqual(['a: gone']);
    errors.add('b', 'gone');
    errors.close();
    await clock.advance(60_000);
    expect(told).toHaveLength(1);
    expect(clock.pendingCount).toBe(0);
  });
});

describe('nodeErrorText()', () => {
  const failed = (address: string) =>
    new WeirError('UNAVAILABLE', `Cannot reach "${address}"`, {
      cause: { details: `connect ECONNREFUSED ${address}` },
    });

  it('is in the words of Hubble’s relay, and the same for every node', () => {
    const text = 'rpc error: code = Unavailable desc = connect ECONNREFUSED the node';
    for (const address of ['10.0.0.1:4244', '[fd00::1]:4244'])
      expect(nodeErrorText(failed(address), address)).toBe(text);
    expect(nodeErrorText(failed('/run/a.sock'), 'unix:///run/a.sock')).toBe(text);
    expect(nodeErrorText(new WeirError('TIMEOUT', 'No answer'), 'x:1')).toBe(
      'rpc error: code = DeadlineExceeded desc = No answer',
    );
  });

  it('is the bare message where nobody knows the code', () => {
    expect(nodeErrorText(new WeirError('SYSTEM_CALL_FAILED', 'EIO'), 'x:1')).toBe('EIO');
  });
});
