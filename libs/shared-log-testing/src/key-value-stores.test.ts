// SPDX-License-Identifier: Apache-2.0
// What a shared log needs of a store, against every kind: in memory, in a file, and real servers.
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type KeyValueStore, openFileKeyValueStore } from '@weir/shared-log';
import { type StoreKind, storeKinds, type StorePlace } from './store-kinds.ts';

function testStore({ make }: StoreKind): void {
  let place: StorePlace, a: KeyValueStore, b: KeyValueStore, prefix: string;
  beforeAll(async () => {
    place = await make();
  }, 60_000);
  afterAll(() => place.destroy());
  beforeEach(() => {
    prefix = `weir/${randomUUID()}`;
    [a, b] = [place.open(), place.open()];
  });
  afterEach(() => [a, b].forEach((store) => store.close()));
  const key = (name: string): string => `${prefix}/${name}`;
  const swap = (store: KeyValueStore, version: string | undefined, value: string) =>
    store.swap({ key: key('head'), version, value, others: [{ key: key(`log/${value}`), value }] });

  it('get() and getMany() read what another client has written', async () => {
    await a.put({ key: key('x'), value: 'one' });
    expect(await b.get(key('x'))).toMatchObject({ value: 'one' });
    expect(await b.getMany([key('y'), key('x')])).toEqual([undefined, 'one']);
    expect(await b.get(key('y'))).toBeUndefined();
  });

  it('swap() lets one of several win, and writes all of it or nothing', async () => {
    const made = await Promise.all([swap(a, undefined, 'a'), swap(b, undefined, 'b')]);
    expect(made.filter((version) => version !== undefined)).toHaveLength(1);
    const winner = made[0] === undefined ? 'b' : 'a';
    const found = await a.get(key('head'));
    expect(found).toEqual({ value: winner, version: made[0] ?? made[1] });
    expect(await b.keys(`${prefix}/log/`)).toEqual([key(`log/${winner}`)]);
    const again = await Promise.all([swap(a, found!.version, 'c'), swap(b, found!.version, 'd')]);
    expect(again.filter((version) => version !== undefined)).toHaveLength(1);
  });

  it('swap() refuses a version from before', async () => {
    const first = await swap(a, undefined, 'first');
    await swap(a, first, 'second');
    expect(await swap(b, first, 'late')).toBeUndefined();
  });

  it('keys() and delete() know those with the prefix and no others', async () => {
    for (const name of ['p/1', 'p/2', 'q']) await a.put({ key: key(name), value: name });
    expect((await b.keys(key('p/'))).toSorted()).toEqual([key('p/1'), key('p/2')]);
    await b.delete([key('p/1')]);
    expect(await a.keys(`${prefix}/`)).toEqual([key('p/2'), key('q')]);
  });

  it('changed() resolves when another client writes, at once when that was before, and when it is told to', async () => {
    const version = (await swap(a, undefined, 'x'))!;
    const known = { key: key('head'), version };
    const waiting = b.changed(known, { waitMs: 20_000, signal: new AbortController().signal });
    await swap(a, version, 'y');
    await waiting;
    await b.changed(known, { waitMs: 20_000, signal: new AbortController().signal });
    const abort = new AbortController();
    const { version: newest } = (await b.get(key('head')))!;
    const idle = b.changed({ key: key('head'), version: newest }, { waitMs: 20_000, signal: abort.signal });
    abort.abort();
    await idle;
    expect(await b.get(key('head'))).toMatchObject({ value: 'y' });
  });
}

for (const kind of storeKinds) {
  if (kind.skipReason !== undefined) process.stderr.write(`Skipped: ${kind.name}: ${kind.skipReason}\n`);
  (kind.skipReason === undefined ? describe : describe.skip)(`KeyValueStore in ${kind.name}`, () => testStore(kind));
}

describe('openFileKeyValueStore()', () => {
  it('leaves alone what is no such file', () => {
    const directory = mkdtempSync(join(tmpdir(), 'weir-kv-'));
    const path = join(directory, 'store.db');
    writeFileSync(path, 'something else, and long enough to be no header of a database');
    expect(() => openFileKeyValueStore(path)).toThrow(expect.objectContaining({ code: 'CORRUPT_STATE' }));
    rmSync(directory, { recursive: true });
  });
});
