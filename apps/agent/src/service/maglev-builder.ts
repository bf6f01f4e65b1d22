// SPDX-License-Identifier: Apache-2.0
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { WeirError } from '@weir/errors';
import type { BuiltTables, MaglevRequest } from '@weir/loadbalancer';

/** Makes Maglev tables off the main thread: they take milliseconds each. */
export interface MaglevBuilder {
  /** One call after the other. Rejects with INTERNAL when the thread dies; the next call starts another. */
  build(requests: readonly MaglevRequest[]): Promise<BuiltTables>;
  close(): Promise<void>;
}

// In a bundle the thread's program lies beside the agent's.
const isSource = import.meta.url.endsWith('.ts');
const program = new URL(isSource ? './maglev-thread.ts' : './maglev.mjs', import.meta.url);

/** Starts its thread with the first table, and keeps it. */
export function createMaglevBuilder(): MaglevBuilder {
  let worker: Worker | undefined;
  let settle: { resolve(tables: BuiltTables): void; reject(error: WeirError): void } | undefined;
  const start = (): Worker => {
    const started = new Worker(fileURLToPath(program));
    started.on('message', (tables: BuiltTables) => settle?.resolve(tables));
    started.on('error', (error) => settle?.reject(WeirError.from(error)));
    started.on('exit', () => {
      worker = undefined;
      settle?.reject(new WeirError('INTERNAL', 'The thread that makes Maglev tables ended early'));
    });
    return started;
  };
  return {
    async build(requests) {
      if (requests.length === 0) return new Map();
      const asked = (worker ??= start());
      // Only while it is at work it keeps the process alive.
      asked.ref();
      try {
        return await new Promise<BuiltTables>((resolve, reject) => {
          settle = { resolve, reject };
          asked.postMessage(requests);
        });
      } finally {
        settle = undefined;
        asked.unref();
      }
    },
    async close() {
      await worker?.terminate();
    },
  };
}
