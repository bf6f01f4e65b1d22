// SPDX-License-Identifier: Apache-2.0
// Structured logs, and the delay of the event loop. Must never throw into the code that it observes, nor block it.
export {
  createLogger,
  logLevels,
  type Logger,
  type LoggerOptions,
  type LogLevel,
  type ConstantMessage,
} from './logger.ts';
export type { LogFields } from './log-fields.ts';
export { createLoopDelayMonitor, type LoopDelay, type LoopDelayMonitor } from './loop-delay.ts';
