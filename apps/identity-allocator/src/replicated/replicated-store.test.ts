// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { createLogger } from '@weir/telemetry';
import { createMemoryKeyValueStore } from '../testing/memory-key-value-store.ts';
import { checkStoreProperties } from '../testing/identity-store.properties.ts';
import { describeIdentityStore, type StoreUnderTest } from '../testing/identity-store.suite.ts';
import { openReplicatedStore } from './replicated-store.ts';
import { createSharedLog } from './shared-log.ts';

const logger = createLogger({ service: 'test', level: 'silent' });
const onFatal = (error: unknown): void => {
  throw error;
};

const createUnderTest = (entriesPerSnapshot = 7): StoreUnderTest => {
  const store = createMemoryKeyValueStore();
  return {
    open: (options) =>
      openReplicatedStore({
        log: createSharedLog({ store, prefix: 'weir/identity', keptEntries: 3 }),
        ...{ name: 'the test', random: Math.random, logger, onFatal, entriesPerSnapshot },
        ...options,
      }),
    destroy: async () => undefined,
  };
};

describeIdentityStore('replicated, in memory', async () => createUnderTest());

describe('IdentityStore (replicated, in memory), random histories', () => {
  it('keep one number per label set, one label set per number, and take nothing that is held', async () => {
    await checkStoreProperties(async () => createUnderTest(), 60);
    expect(true).toBe(true);
  }, 60_000);
});
