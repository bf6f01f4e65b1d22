// SPDX-License-Identifier: Apache-2.0
import { expect, it } from '@jest/globals';
import { WeirError } from '@weir/errors';
import { createOperationQueue } from './operation-queue.ts';

it('createOperationQueue() does not do again what nobody waits for any more when a batch runs once more', async () => {
  const done: string[] = [];
  const abort = new AbortController();
  const queue = createOperationQueue({
    ...{ batchOperationsMax: 10, queuedOperationsMax: 10 },
    commit(runAll) {
      runAll();
      // Another replica was faster, and the batch is taken back.
      done.length = 0;
      abort.abort(new WeirError('CANCELLED', 'It has asked elsewhere'));
      runAll();
    },
  });
  const given = queue.run(() => done.push('given up'), abort.signal);
  const kept = queue.run(() => done.push('kept'));
  await expect(given).rejects.toMatchObject({ code: 'CANCELLED' });
  await kept;
  expect(done).toEqual(['kept']);
});
