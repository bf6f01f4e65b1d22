// SPDX-License-Identifier: Apache-2.0
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { WeirError } from '@weir/errors';

const waitMaxMs = 60_000;

/**
 * Runs `work` while nobody else of this machine is in `withLabLock` for the same lab; waits up to a minute, then
 * FAILED_PRECONDITION. The lock is an abstract socket: the kernel releases it however its holder ends.
 */
export async function withLabLock<Result>(lab: string, work: () => Promise<Result>): Promise<Result> {
  const startedMs = performance.now();
  for (;;) {
    const release = await tryLock(`\0weir-lab/${lab}`);
    if (release !== undefined) {
      try {
        return await work();
      } finally {
        await release();
      }
    }
    if (performance.now() - startedMs > waitMaxMs) {
      throw new WeirError('FAILED_PRECONDITION', `Another command has been changing lab "${lab}" for over a minute`);
    }
    await sleep(50);
  }
}

function tryLock(address: string): Promise<(() => Promise<void>) | undefined> {
  const server = createServer((socket) => socket.destroy());
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined);
      else reject(WeirError.from(error, 'SYSTEM_CALL_FAILED'));
    });
    server.listen({ path: address }, () => resolve(() => new Promise((done) => server.close(() => done()))));
  });
}
