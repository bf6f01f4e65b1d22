// SPDX-License-Identifier: Apache-2.0
// Time as a dependency. Whoever waits, expires or retries takes a `Clock`, so that a test can drive hours in no time.
export { systemClock, type Clock, type CancelTimer } from './clock.ts';
export { createManualClock, type ManualClock } from './manual-clock.ts';
export { createBackoff, type Backoff, type BackoffOptions } from './backoff.ts';
export { parseDurationMs, formatDurationMs } from './duration.ts';
