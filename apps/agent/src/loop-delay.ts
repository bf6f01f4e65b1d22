// SPDX-License-Identifier: Apache-2.0
import { createLoopDelayMonitor, type Logger } from '@weir/telemetry';
import { repeat } from './repeat.ts';

const intervalMs = 10_000;
const delayMaxMs = 100;

/** Says so when something keeps the event loop from its work: pods and policies wait for it. */
export function watchLoopDelay(logger: Logger): () => void {
  const loop = createLoopDelayMonitor();
  const read = async (): Promise<void> => {
    const { maxMs } = loop.read();
    if (maxMs > delayMaxMs) logger.warn({ delayMs: Math.round(maxMs) }, 'Event loop was blocked');
  };
  const stopReading = repeat(intervalMs, read, logger);
  return () => {
    stopReading();
    loop.stop();
  };
}
