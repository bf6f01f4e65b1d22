// SPDX-License-Identifier: Apache-2.0
// The behaviour of every store, against a real server.
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createEtcdKeyValueStore, createSharedLog } from '@weir/shared-log';
import { etcd, type StoreServer } from '@weir/shared-log-testing';
import { createLogger } from '@weir/telemetry';
import { openReplicatedStore } from '../replicated/replicated-store.ts';
import { checkStoreProperties } from '../testing/identity-store.properties.ts';
import { describeIdentityStore, type StoreUnderTest } from '../testing/identity-store.suite.ts';

if (etcd.skipReason !== undefined) process.stderr.write(`Skipped: the tests of Etcd: ${etcd.skipReason}\n`);

const logger = createLogger({ service: 'test', level: 'silent' });
const onFatal = (error: unknown): void => {
  throw error;
};
let server: StoreServer;

const createUnderTest = async (): Promise<StoreUnderTest> => {
  const prefix = `weir/${randomUUID()}`;
  const connect = () => createEtcdKeyValueStore({ endpoints: [server.endpoint], deadlineMs: 10_000 });
  return {
    open: (options) =>
      openReplicatedStore({
        log: createSharedLog({ store: connect(), prefix, keptEntries: 3 }),
        ...{ name: 'etcd', random: Math.random, logger, onFatal, entriesPerSnapshot: 11 },
        ...options,
      }),
    async destroy() {
      const store = connect();
      await store.delete(await store.keys(`${prefix}/`));
      store.close();
    },
  };
};

(etcd.skipReason === undefined ? describe : describe.skip)('etcd', () => {
  beforeAll(async () => {
    server = await etcd.create();
  }, 60_000);
  afterAll(() => server.destroy());

  describeIdentityStore('etcd', createUnderTest);

  it('keeps one number per label set, one label set per number, and takes nothing that is held, in random histories', async () => {
    await checkStoreProperties(createUnderTest, 8);
    expect(true).toBe(true);
  }, 120_000);
});
