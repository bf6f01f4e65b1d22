// SPDX-License-Identifier: Apache-2.0
import { beforeEach, describe, expect, it } from '@jest/globals';
import { createManualClock, type ManualClock } from '@weir/clock';
import { silent } from '../testing/test-agent.ts';
import { createReconcileLoop, type ReconcileLoop } from './reconcile-loop.ts';

let clock: ManualClock;
let batches: string[][];
/** What the next batch comes to. */
let outcome: () => Promise<ReadonlyMap<string, string>>;
let loop: ReconcileLoop;
const nothing: ReadonlyMap<string, string> = new Map();
beforeEach(() => {
  clock = createManualClock();
  batches = [];
  outcome = async () => nothing;
  const reconcile = (keys: ReadonlySet<string>) => {
    batches.push([...keys]);
    return outcome();
  };
  loop = createReconcileLoop({ name: 'things', reconcile, clock, logger: silent });
});

describe('createReconcileLoop()', () => {
  it('takes what comes together, and what comes meanwhile, in a batch each', async () => {
    const first = Promise.withResolvers<ReadonlyMap<string, string>>();
    outcome = () => first.promise;
    loop.touch(['a', 'b']);
    loop.touch(['a']);
    await clock.advance(10);
    loop.touch(['c']);
    loop.touch(['a']);
    await clock.advance(1_000);
    expect(batches).toEqual([['a', 'b']]);
    outcome = async () => nothing;
    first.resolve(nothing);
    await clock.advance(10);
    expect(batches).toEqual([
      ['a', 'b'],
      ['c', 'a'],
    ]);
  });

  it('tries a batch that fails again, with what has come since, and says why it failed', async () => {
    outcome = () => Promise.reject(new TypeError('the kernel is full'));
    loop.touch(['a']);
    let hasPassed = false;
    void loop.passed().then(() => (hasPassed = true));
    await clock.advance(10);
    expect({ failure: loop.failure?.message, hasPassed }).toEqual({ failure: 'the kernel is full', hasPassed: false });
    loop.touch(['b']);
    outcome = async () => nothing;
    await clock.advance(1_000);
    expect({ failure: loop.failure, hasPassed }).toEqual({ failure: undefined, hasPassed: true });
    expect(batches).toEqual([['a'], ['a', 'b']]);
  });

  it('remembers what is refused until it is not any more', async () => {
    outcome = async () => new Map([['a', 'it is wrong']]);
    loop.touch(['a', 'b']);
    await clock.advance(10);
    outcome = async () => nothing;
    loop.touch(['b']);
    await clock.advance(10);
    expect([...loop.refused]).toEqual([['a', 'it is wrong']]);
    loop.touch(['a']);
    await clock.advance(10);
    expect([...loop.refused]).toEqual([]);
  });

  it('gives up waiting with the signal, and does nothing more when it is closed', async () => {
    const abort = new AbortController();
    const passed = loop.passed(abort.signal);
    abort.abort(new TypeError('too late'));
    await expect(passed).rejects.toThrow('too late');
    await expect(loop.passed(abort.signal)).rejects.toThrow('too late');
    loop.close();
    loop.touch(['a']);
    await clock.advance(60_000);
    expect(batches).toEqual([]);
  });
});
