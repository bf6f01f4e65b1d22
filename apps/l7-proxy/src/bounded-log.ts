// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@weir/clock';
import type { Logger } from '@weir/telemetry';

const intervalMs = 1_000;

/**
 * The part of a logger that is for lines which traffic causes: at most `linesMax` a second, so that nobody fills the disk
 * by sending nonsense. What is left out is counted in a line of its own.
 */
export function boundLog(
  log: Logger,
  { clock, linesMax }: { clock: Clock; linesMax: number },
): Pick<Logger, 'warn' | 'error'> {
  let lineCount = 0;
  let leftOutCount = 0;
  const endInterval = (): void => {
    if (leftOutCount > 0) log.warn({ count: leftOutCount, limit: linesMax }, 'Left lines about traffic out of the log');
    lineCount = 0;
    leftOutCount = 0;
  };
  const bounded =
    (write: Logger['warn']): Logger['warn'] =>
    (fields, message) => {
      if (lineCount === 0) clock.schedule(intervalMs, endInterval);
      if (lineCount === linesMax) {
        leftOutCount++;
        return;
      }
      lineCount++;
      write(fields, message);
    };
  return { warn: bounded(log.warn), error: bounded(log.error) };
}
