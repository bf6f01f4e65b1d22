// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createManualClock, type ManualClock } from '@weir/clock';
import { identityRange } from '@weir/model';
import { storeLimits, type IdentityStore } from '../store/identity-store.ts';
import { checkStoreProperties } from '../testing/identity-store.properties.ts';
import {
  app,
  describeIdentityStore,
  failureCode,
  suiteTimes,
  type StoreUnderTest,
} from '../testing/identity-store.suite.ts';
import { openEmbeddedStore } from './embedded-store.ts';

const createUnderTest = (): StoreUnderTest => {
  const directory = mkdtempSync(join(tmpdir(), 'weir-store-'));
  return {
    open: async (options) =>
      openEmbeddedStore({ path: join(directory, 'state/identity.db'), random: Math.random, onFatal: fail, ...options }),
    destroy: async () => rmSync(directory, { recursive: true, force: true }),
  };
};
const fail = (error: unknown): void => {
  throw error;
};

describeIdentityStore('embedded', async () => createUnderTest());

describe('IdentityStore (embedded), random histories', () => {
  it('keep one number per label set, one label set per number, and take nothing that is held', async () => {
    await checkStoreProperties(async () => createUnderTest(), 60);
  });
});

describe('openEmbeddedStore()', () => {
  let directory: string;
  let path: string;
  let clock: ManualClock;
  const stores: IdentityStore[] = [];
  const open = (): IdentityStore => {
    const store = openEmbeddedStore({ path, times: suiteTimes, clock, random: Math.random, onFatal: fail });
    stores.push(store);
    return store;
  };
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'weir-store-'));
    path = join(directory, 'identity.db');
    clock = createManualClock();
  });
  afterEach(async () => {
    for (const store of stores.splice(0)) await store.close().catch(() => undefined);
    rmSync(directory, { recursive: true, force: true });
  });
  /** A closed store with some content. */
  const written = async (count = 200): Promise<void> => {
    const store = open();
    await Promise.all(Array.from({ length: count }, (_, index) => store.allocate({ node: 'a', labels: app(index) })));
    await stores.pop()!.close();
  };
  const sql = (text: string): void => {
    const database = new DatabaseSync(path);
    database.exec(text);
    database.close();
  };

  it.each([
    { what: 'a text file', damage: () => writeFileSync(path, 'not a database at all, but long enough to be one') },
    { what: 'a truncated file', damage: () => truncateSync(path, Math.floor(statSync(path).size / 2)) },
    { what: 'a newer format', damage: () => sql('PRAGMA user_version = 2') },
    { what: "another application's database", damage: () => sql('PRAGMA application_id = 7') },
    { what: 'a number outside the range', damage: () => sql('UPDATE identities SET id = 7 WHERE revision = 3') },
    { what: 'labels that are none', damage: () => sql("UPDATE identities SET labels = 'x y;' WHERE revision = 3") },
    {
      what: 'labels out of order',
      damage: () => sql("UPDATE identities SET labels = 'k8s:b;k8s:a;' WHERE revision = 3"),
    },
    { what: 'a reference to nothing', damage: () => sql("INSERT INTO held_references VALUES ('a', 9)") },
  ])('refuses $what with CORRUPT_STATE that names the file, and leaves it as it is', async ({ damage }) => {
    await written();
    damage();
    const before = readFileSync(path);
    expect(open).toThrow(expect.objectContaining({ code: 'CORRUPT_STATE', message: expect.stringContaining(path) }));
    expect(open).toThrow('it was left as it is');
    expect(readFileSync(path).equals(before)).toBe(true);
  });

  it('takes an empty file, as a process leaves that died while it made it', () => {
    writeFileSync(path, '');
    expect(open().revision).toBe(0);
  });

  it('refuses a file that another store has open', () => {
    open();
    expect(open).toThrow(expect.objectContaining({ code: 'FAILED_PRECONDITION' }));
    expect(open).toThrow('another process has it open');
  });

  it('refuses a path that cannot be a file', () => {
    path = '/dev/null/identity.db';
    expect(open).toThrow(expect.objectContaining({ code: 'FAILED_PRECONDITION' }));
  });

  it('writes nothing for calls that change nothing', async () => {
    const store = open();
    const { identity } = await store.allocate({ node: 'a', labels: app('x') });
    const wal = `${path}-wal`;
    const size = existsSync(wal) ? statSync(wal).size : 0;
    await store.allocate({ node: 'a', labels: app('x') });
    await store.renewLease({ node: 'a', held: [identity] });
    await store.collectGarbage();
    expect(existsSync(wal) ? statSync(wal).size : 0).toBe(size);
  });

  it('hands out all 65,280 numbers, then refuses, then reuses the longest retired after the reuse delay', async () => {
    const store = open();
    const { min, max } = identityRange.cluster;
    const all = Array.from({ length: max - min }, (_, index) => ({ id: min + 1 + index, labels: app(index) }));
    const perNode = storeLimits.referencesPerNodeMax;
    for (let from = 0; from < all.length; from += perNode) {
      await store.renewLease({ node: `n${from}`, held: all.slice(from, from + perNode) });
    }
    expect((await store.allocate({ node: 'last', labels: app('last') })).identity.id).toBe(min);
    expect(await failureCode(store.allocate({ node: 'last', labels: app('more') }))).toBe('RESOURCE_EXHAUSTED');

    await store.renewLease({ node: 'n0', held: all.slice(1, perNode) });
    await clock.advance(1000);
    await store.renewLease({ node: 'n0', held: all.slice(2, perNode) });
    // Everybody else is alive; only the two that n0 gave up may go.
    const renewOthers = async (): Promise<void> => {
      await store.renewLease({ node: 'last', held: [{ id: min, labels: app('last') }] });
      for (let from = 0; from < all.length; from += perNode) {
        await store.renewLease({ node: `n${from}`, held: all.slice(from === 0 ? 2 : from, from + perNode) });
      }
    };
    for (const waitMs of [suiteTimes.leaseMs - 2000, suiteTimes.graceMs - suiteTimes.leaseMs + 2000]) {
      await clock.advance(waitMs);
      await renewOthers();
    }
    expect((await store.collectGarbage()).deleted).toEqual([min + 1, min + 2]);
    expect(await failureCode(store.allocate({ node: 'last', labels: app('more') }))).toBe('RESOURCE_EXHAUSTED');
    await clock.advance(suiteTimes.reuseDelayMs);
    expect((await store.allocate({ node: 'last', labels: app('more') })).identity.id).toBe(min + 1);
    expect((await store.allocate({ node: 'last', labels: app('1') })).identity.id).toBe(min + 2);
  });
});
