// SPDX-License-Identifier: Apache-2.0
import type { Logger } from '@weir/telemetry';

/** Does something again and again, `intervalMs` after it was done the last time, until the returned function is called. */
export function repeat(intervalMs: number, task: () => Promise<unknown>, logger: Logger): () => void {
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  const run = async (): Promise<void> => {
    try {
      await task();
    } catch (error) {
      logger.error({ error }, 'Regular task failed');
    }
    schedule();
  };
  const schedule = (): void => {
    if (!stopped) timer = setTimeout(() => void run(), intervalMs).unref();
  };
  schedule();
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}
