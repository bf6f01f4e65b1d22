// SPDX-License-Identifier: Apache-2.0
// A disk that is full, which takes a mount of our own. Needs root.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createManualClock } from '@weir/clock';
import { app, failureCode, suiteTimes } from '../testing/identity-store.suite.ts';
import { openEmbeddedStore } from './embedded-store.ts';

const isRoot = process.getuid?.() === 0;
if (!isRoot) process.stderr.write('Skipped: the tests of a full disk need root, to mount one\n');

(isRoot ? describe : describe.skip)('IdentityStore (embedded) on a full disk', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'weir-full-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=512k', 'weir-test', directory]);
  });
  afterEach(() => {
    execFileSync('umount', ['--lazy', directory]);
    rmSync(directory, { recursive: true, force: true });
  });

  it('fails with UNAVAILABLE, forgets what it could not write, and goes on when there is room again', async () => {
    const store = openEmbeddedStore({
      path: join(directory, 'identity.db'),
      times: suiteTimes,
      clock: createManualClock(),
      random: Math.random,
      onFatal: (error) => {
        throw error;
      },
    });
    const { identity } = await store.allocate({ node: 'a', labels: app('before') });
    const { bavail, bsize } = statfsSync(directory);
    writeFileSync(join(directory, 'ballast'), Buffer.alloc(bavail * bsize));

    let told = 0;
    store.onChange(() => (told += 1));
    const { revision } = store;
    const failed: number[] = [];
    for (let index = 0; index < 50 && failed.length < 3; index += 1) {
      if ((await failureCode(store.allocate({ node: 'a', labels: app(index) }))) === 'UNAVAILABLE') failed.push(index);
    }
    expect(failed.length).toBe(3);
    expect(store.revision - revision).toBe(told);
    expect(store.get(identity.id)?.labels).toEqual(app('before'));
    expect([...store.list(0)].map(({ labels }) => labels.key)).not.toContain(app(failed[0]!).key);

    rmSync(join(directory, 'ballast'));
    const again = await store.allocate({ node: 'a', labels: app(failed[0]!) });
    expect(again.created).toBe(true);
    await store.close();
  });
});
