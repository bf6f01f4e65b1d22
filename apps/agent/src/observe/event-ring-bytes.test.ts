// SPDX-License-Identifier: Apache-2.0
import { expect, it } from '@jest/globals';
import { eventRingBytes } from './event-ring-bytes.ts';

it.each([
  { cpuCount: 1, eventsMax: 1_000, mebibytes: 1 },
  { cpuCount: 4, eventsMax: 1_000, mebibytes: 1 },
  { cpuCount: 5, eventsMax: 1_000, mebibytes: 2 },
  { cpuCount: 48, eventsMax: 1_000, mebibytes: 16 },
  { cpuCount: 512, eventsMax: 1_000, mebibytes: 16 },
  { cpuCount: 2, eventsMax: 10_000, mebibytes: 8 },
  { cpuCount: 2, eventsMax: 1_000_000, mebibytes: 16 },
])('eventRingBytes() of $cpuCount CPUs with $eventsMax each is $mebibytes MiB', ({ mebibytes, ...each }) => {
  expect(eventRingBytes(each)).toBe(mebibytes << 20);
});
