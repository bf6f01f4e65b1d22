// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import { WeirError } from '@weir/errors';

/** Waits until it holds, for what a loaded server may take; fails with what was waited for. */
export async function until(what: string, holds: () => boolean): Promise<void> {
  const untilMs = performance.now() + 60_000;
  while (!holds()) {
    if (performance.now() > untilMs) throw new WeirError('TIMEOUT', `It never came to this: ${what}`);
    await sleep(20);
  }
}
