// SPDX-License-Identifier: Apache-2.0
import { expect, it, jest } from '@jest/globals';
import { createDelayedTasks } from './delayed-tasks.ts';

jest.useFakeTimers();

type Run = (subject: string, isWanted: () => boolean) => Promise<void>;

it('does what is newest of a name, once, when its time has come', async () => {
  const done: string[] = [];
  const tasks = createDelayedTasks<string>({ delayMs: 10, run: async (subject) => void done.push(subject) });
  tasks.add('a', 'old');
  await jest.advanceTimersByTimeAsync(9);
  tasks.add('a', 'new');
  await jest.advanceTimersByTimeAsync(9);
  expect(done).toEqual([]);
  await jest.advanceTimersByTimeAsync(100);
  expect(done).toEqual(['new']);
});

it('does one after the other', async () => {
  let running = 0;
  const most: number[] = [];
  const run: Run = async () => {
    most.push(++running);
    await new Promise((resolve) => setTimeout(resolve, 5));
    running--;
  };
  const tasks = createDelayedTasks<string>({ delayMs: 1, run });
  for (const name of ['a', 'b', 'c']) tasks.add(name, name);
  await jest.advanceTimersByTimeAsync(100);
  expect(most).toEqual([1, 1, 1]);
});

it('tells the one under way that its subject is not wanted any more', async () => {
  const wanted: boolean[] = [];
  const run: Run = async (_, isWanted) => {
    await new Promise((resolve) => setTimeout(resolve, 5));
    wanted.push(isWanted());
  };
  const tasks = createDelayedTasks<string>({ delayMs: 1, run });
  for (const name of ['kept', 'forgotten']) tasks.add(name, name);
  await jest.advanceTimersByTimeAsync(7);
  tasks.forget('forgotten');
  await jest.advanceTimersByTimeAsync(100);
  expect(wanted).toEqual([true, false]);
});

it('tries again, later each time, what has failed', async () => {
  const attemptsMs: number[] = [];
  const startMs = Date.now();
  const run: Run = async () => {
    attemptsMs.push(Date.now() - startMs);
    if (attemptsMs.length < 3) throw new Error('no memory');
  };
  const tasks = createDelayedTasks<string>({ delayMs: 10, run });
  tasks.add('a', 'a');
  await jest.advanceTimersByTimeAsync(1_000);
  expect(attemptsMs).toEqual([10, 30, 70]);
});

it('waits for the one under way at its end, and does the others no more', async () => {
  const done: string[] = [];
  const run: Run = async (subject) => {
    await new Promise((resolve) => setTimeout(resolve, 5));
    done.push(subject);
  };
  const tasks = createDelayedTasks<string>({ delayMs: 1, run });
  for (const name of ['a', 'b']) tasks.add(name, name);
  await jest.advanceTimersByTimeAsync(2);
  const closed = tasks.close();
  await jest.advanceTimersByTimeAsync(100);
  await closed;
  expect(done).toEqual(['a']);
});
