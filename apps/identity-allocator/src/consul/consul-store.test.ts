// SPDX-License-Identifier: Apache-2.0
// The behaviour of every store, against a real server.
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createConsulKeyValueStore, createSharedLog } from '@weir/shared-log';
import { consul, type StoreServer } from '@weir/shared-log-testing';
import { createLogger } from '@weir/telemetry';
import { openReplicatedStore } from '../replicated/replicated-store.ts';
import { checkStoreProperties } from '../testing/identity-store.properties.ts';
import { describeIdentityStore, type StoreUnderTest } from '../testing/identity-store.suite.ts';

if (consul.skipReason !== undefined) process.stderr.write(`Skipped: the tests of Consul: ${consul.skipReason}\n`);

const logger = createLogger({ service: 'test', level: 'silent' });
const onFatal = (error: unknown): void => {
  throw error;
};
let server: StoreServer;

const createUnderTest = async (): Promise<StoreUnderTest> => {
  const prefix = `weir/${randomUUID()}`;
  const connect = () => createConsulKeyValueStore({ endpoints: [server.endpoint], deadlineMs: 10_000 });
  return {
    open: (options) =>
      openReplicatedStore({
        log: createSharedLog({ store: connect(), prefix, keptEntries: 3 }),
        ...{ name: 'consul', random: Math.random, logger, onFatal, entriesPerSnapshot: 11 },
        ...options,
      }),
    async destroy() {
      const store = connect();
      await store.delete(await store.keys(`${prefix}/`));
      store.close();
    },
  };
};

(consul.skipReason === undefined ? describe : describe.skip)('consul', () => {
  beforeAll(async () => {
    server = await consul.create();
  }, 60_000);
  afterAll(() => server.destroy());

  describeIdentityStore('consul', createUnderTest);

  it('keeps one number per label set, one label set per number, and takes nothing that is held, in random histories', async () => {
    await checkStoreProperties(createUnderTest, 8);
    expect(true).toBe(true);
  }, 120_000);
});
