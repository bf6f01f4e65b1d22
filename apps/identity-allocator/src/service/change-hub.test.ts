// SPDX-License-Identifier: Apache-2.0
import { beforeEach, describe, expect, it } from '@jest/globals';
import { createManualClock, type ManualClock } from '@weir/clock';
import type { Changes } from '../store/identity-store.ts';
import { createChangeHub, type ChangeHub } from './change-hub.ts';

const never = new AbortController().signal;

/** A store of which only the revision matters. */
function createCounter() {
  const listeners = new Set<() => void>();
  let reads = 0;
  const counter = {
    revision: 1,
    changesAfter: (revision: number): Changes => {
      reads += 1;
      return { upserted: [], deleted: [], revision: Math.max(revision, counter.revision), complete: true };
    },
    onChange(listener: () => void) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    change() {
      counter.revision += 1;
      listeners.forEach((listener) => listener());
    },
    reads: () => reads,
  };
  return counter;
}

describe('createChangeHub()', () => {
  let clock: ManualClock;
  let store: ReturnType<typeof createCounter>;
  let hub: ChangeHub;
  beforeEach(() => {
    clock = createManualClock();
    store = createCounter();
    hub = createChangeHub({ store, clock, watchersMax: 1000 });
  });
  const enter = (count: number): void => {
    for (let entered = 0; entered < count; entered += 1) hub.enter();
  };
  /** Counts how often one watcher is woken. */
  const watch = (): { wakes: number } => {
    const seen = { wakes: 0 };
    const wait = async (): Promise<void> => {
      for (let revision = store.revision; ; revision = store.revision) {
        await hub.changed(revision, never);
        seen.wakes += 1;
      }
    };
    void wait();
    return seen;
  };

  it('wakes few watchers at every change', async () => {
    enter(5);
    const seen = watch();
    for (let change = 1; change <= 3; change += 1) {
      store.change();
      await clock.advance(1);
      expect(seen.wakes).toBe(change);
    }
  });

  it('wakes a thousand watchers at the first change at once, and then ten times a second at most', async () => {
    enter(1000);
    const seen = watch();
    store.change();
    await clock.advance(0);
    expect(seen.wakes).toBe(1);
    for (let change = 0; change < 100; change += 1) {
      store.change();
      await clock.advance(10);
    }
    expect(seen.wakes).toBeGreaterThanOrEqual(9);
    expect(seen.wakes).toBeLessThanOrEqual(11);
    await clock.advance(100);
    const { wakes } = seen;
    await clock.advance(1000);
    expect(seen.wakes).toBe(wakes);
  });

  it('looks up the same changes once for all that are equally far', () => {
    const first = hub.changesAfter(0);
    expect(hub.changesAfter(0)).toBe(first);
    expect(store.reads()).toBe(1);
    store.change();
    expect(hub.changesAfter(0)).not.toBe(first);
  });

  it('lets nobody wait who has something to read, has gone, or meets a closed hub', async () => {
    await hub.changed(0, never);
    const gone = new AbortController();
    const leaving = hub.changed(1, gone.signal);
    gone.abort();
    await leaving;
    const last = hub.changed(1, never);
    hub.close();
    await last;
  });

  it('lets in as many as it may, and another one when one has left', () => {
    enter(999);
    const leave = hub.enter();
    expect(hub.enter()).toBeUndefined();
    leave?.();
    expect(hub.enter()).toBeDefined();
  });
});
