// SPDX-License-Identifier: Apache-2.0
import { afterEach, describe, expect, it } from '@jest/globals';
import { createMerge, type Timed } from './merge.ts';

const abort = new AbortController();
const merge = (waitMs = 10_000) => createMerge<Timed>({ waitMs, itemsMax: 4, signal: abort.signal });
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const hanging: (() => void)[] = [];
afterEach(() => hanging.splice(0).forEach((end) => end()));

async function* stream(...times: (number | 'hang')[]): AsyncGenerator<Timed> {
  for (const time of times) {
    if (time === 'hang') await new Promise<void>((resolve) => hanging.push(resolve));
    else yield { timeMs: time };
  }
}
async function times(items: AsyncIterable<Timed>, count = Infinity): Promise<number[]> {
  const seen: number[] = [];
  for await (const { timeMs } of items) if (seen.push(timeMs) >= count) break;
  return seen;
}

describe('createMerge', () => {
  it('gives the items of all sources in order of time, however many one has', async () => {
    const merged = merge();
    for (const source of [stream(1, 4, 7, 8, 9, 10, 11), stream(2, 3, 12), stream()]) void merged.add(source);
    merged.close();
    expect(await times(merged)).toEqual([1, 2, 3, 4, 7, 8, 9, 10, 11, 12]);
  });

  it('waits for a source that hangs for so long and no longer', async () => {
    const merged = merge(50);
    void merged.add(stream(1, 2));
    void merged.add(stream('hang', 0));
    expect(await times(merged, 2)).toEqual([1, 2]);
  });

  it('gives as much as comes although a source hangs: only so many items wait', async () => {
    const merged = merge(60_000);
    void merged.add(stream(1, 2, 3, 4, 5, 6));
    void merged.add(stream('hang', 0));
    expect(await times(merged, 3)).toEqual([1, 2, 3]);
  });

  it('does not keep back the items of a clock that is ahead', async () => {
    const merged = merge();
    const now = Date.now();
    async function* chatter(): AsyncGenerator<Timed> {
      for (;;) {
        await pause(1);
        yield { timeMs: Date.now() };
      }
    }
    void merged.add(chatter());
    void merged.add(stream(now + 300_000, 'hang'));
    for await (const { timeMs } of merged) if (timeMs === now + 300_000) break;
  });

  it('goes on without a source that fails', async () => {
    const merged = merge();
    const failing = merged.add(
      (async function* () {
        yield { timeMs: 2 };
        throw new TypeError('gone');
      })(),
    );
    void merged.add(stream(1, 3));
    const seen = times(merged, 3);
    await expect(failing).rejects.toThrow('gone');
    expect(await seen).toEqual([1, 2, 3]);
  });

  it('does not read a source whose items nobody takes', async () => {
    let made = 0;
    const merged = merge();
    void merged.add(
      (async function* () {
        for (;;) yield { timeMs: made++ };
      })(),
    );
    await pause(20);
    expect(made).toBe(4);
    expect(await times(merged, 10)).toHaveLength(10);
  });

  it('lets announcements through ahead of everything', async () => {
    const merged = merge();
    void merged.add(stream(1));
    merged.announce({ timeMs: 99 });
    merged.close();
    expect(await times(merged)).toEqual([99, 1]);
  });
});
