// SPDX-License-Identifier: Apache-2.0
import { jest } from '@jest/globals';
import type { WeirError } from '@weir/errors';
import { createDeadline } from './deadline.ts';

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

describe('createDeadline()', () => {
  it('gives up once, with TIMEOUT and the action, when the time is over', () => {
    const reasons: WeirError[] = [];
    const controller = new AbortController();
    createDeadline('Waiting', { timeoutMs: 20, signal: controller.signal }).start((reason) => reasons.push(reason));
    jest.advanceTimersByTime(19);
    expect(reasons).toEqual([]);
    jest.advanceTimersByTime(1);
    controller.abort();
    expect(reasons).toMatchObject([{ code: 'TIMEOUT', message: 'Waiting did not finish within 20 ms' }]);
  });

  it('gives up once, with CANCELLED and the reason, when the signal is aborted', () => {
    const reasons: WeirError[] = [];
    const controller = new AbortController();
    createDeadline('Waiting', { timeoutMs: 20, signal: controller.signal }).start((reason) => reasons.push(reason));
    controller.abort('enough');
    jest.advanceTimersByTime(20);
    expect(reasons).toMatchObject([{ code: 'CANCELLED', message: 'Waiting was cancelled', cause: 'enough' }]);
  });

  it('does not give up once it is stopped, and leaves no timer', () => {
    const reasons: WeirError[] = [];
    const controller = new AbortController();
    createDeadline('Waiting', { signal: controller.signal }).start((reason) => reasons.push(reason))();
    controller.abort();
    expect([reasons, jest.getTimerCount()]).toEqual([[], 0]);
  });

  it('throws CANCELLED if the signal is aborted already', () => {
    expect(() => createDeadline('Waiting', { signal: AbortSignal.abort() })).toThrow('Waiting was cancelled');
  });

  it.each([-1, 0.5, Number.NaN, Infinity, 2 ** 31])('refuses a time of %p', (timeoutMs) => {
    expect(() => createDeadline('Waiting', { timeoutMs })).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining(String(timeoutMs)) }),
    );
  });
});
