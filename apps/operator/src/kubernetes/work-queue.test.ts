// SPDX-License-Identifier: Apache-2.0
import { afterEach, describe, expect, it } from '@jest/globals';
import { createManualClock } from '@weir/clock';
import { WeirError } from '@weir/errors';
import { createLogger } from '@weir/telemetry';
import { createWorkQueue, type WorkQueue } from './work-queue.ts';

const logger = createLogger({ service: 'test', level: 'silent' });

describe('createWorkQueue()', () => {
  let queue: WorkQueue | undefined;
  afterEach(() => queue?.stop());

  function start(process: (key: string) => Promise<boolean>, mayWork = (): boolean => true) {
    const clock = createManualClock();
    queue = createWorkQueue({
      ...{ name: 'test', process, mayWork, clock, logger, rate: { perSecond: 2, burst: 3 } },
    });
    queue.start();
    return { clock, queue };
  }
  const recorder = (answer: (key: string) => boolean) => {
    const seen: string[] = [];
    return { seen, process: async (key: string) => (seen.push(key), answer(key)) };
  };

  it('looks at a key once, however often it was added', async () => {
    const { seen, process } = recorder(() => false);
    const { clock, queue: started } = start(process);
    started.add(['a', 'b', 'a']);
    started.add(['b']);
    await clock.advance(10_000);
    expect([seen, started.size]).toEqual([['a', 'b'], 0]);
  });

  it('writes no more than its rate, and looks at what needs no write as fast as it can', async () => {
    const { seen, process } = recorder((key) => key.startsWith('write'));
    const { clock, queue: started } = start(process);
    started.add(Array.from({ length: 100 }, (_, index) => `read${index}`));
    started.add(Array.from({ length: 10 }, (_, index) => `write${index}`));
    await clock.advance(10);
    expect(seen.length).toBe(103);
    await clock.advance(2_000);
    expect(seen.length).toBeGreaterThanOrEqual(106);
    expect(seen.length).toBeLessThanOrEqual(107);
    await clock.advance(10_000);
    expect(seen.length).toBe(110);
  });

  it('keeps keys while it may not work', async () => {
    let mayWork = false;
    const { seen, process } = recorder(() => false);
    const { clock, queue: started } = start(process, () => mayWork);
    started.add(['a']);
    await clock.advance(10_000);
    expect([seen, started.size]).toEqual([[], 1]);
    mayWork = true;
    await clock.advance(10_000);
    expect(seen).toEqual(['a']);
  });

  it('tries what failed again, ever more seldom, says why, and goes on with others', async () => {
    let isBroken = true;
    const seen: string[] = [];
    const { clock, queue: started } = start(async (key) => {
      seen.push(key);
      if (key === 'bad' && isBroken) throw new WeirError('UNAVAILABLE', 'It is away');
      return true;
    });
    started.add(['bad', 'good']);
    await clock.advance(100);
    expect([seen, started.failure?.message]).toEqual([['bad', 'good'], 'It is away']);
    await clock.advance(60_000);
    const attempts = seen.length;
    expect(attempts).toBeGreaterThan(3);
    expect(attempts).toBeLessThan(15);
    isBroken = false;
    await clock.advance(60_000);
    expect([started.failure, started.size]).toEqual([undefined, 0]);
  });
});
