// SPDX-License-Identifier: Apache-2.0
import { readdirSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** What a leak would grow. */
export interface ProcessResources {
  readonly descriptors: number;
  readonly threads: number;
  /** Resident memory that is not JavaScript's heap, after garbage collection, in MiB. */
  readonly nativeMib: number;
}

/** Collects garbage, lets finalizers run, and counts. */
export async function processResources(): Promise<ProcessResources> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  await new Promise(setImmediate);
  const { rss, heapTotal } = process.memoryUsage();
  return {
    descriptors: readdirSync('/proc/self/fd').length,
    threads: readdirSync('/proc/self/task').length,
    nativeMib: (rss - heapTotal) / 2 ** 20,
  };
}
