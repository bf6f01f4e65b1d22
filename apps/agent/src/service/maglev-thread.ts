// SPDX-License-Identifier: Apache-2.0
// The thread that makes Maglev tables: see maglev-builder.ts.
import { parentPort } from 'node:worker_threads';
import { buildTables, type MaglevRequest } from '@weir/loadbalancer';

parentPort?.on('message', (requests: readonly MaglevRequest[]) => {
  const tables = buildTables(requests);
  parentPort?.postMessage(
    tables,
    [...tables.values()].map(({ buffer }) => buffer),
  );
});
