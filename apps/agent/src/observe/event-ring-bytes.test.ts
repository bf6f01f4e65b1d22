// SPDX-License-Identifier: Apache-2.0
import { expect, it } from '@jest/globals';
import { eventRingBytes } from './event-ring-bytes.ts';

it.each([
  [1, 1],
  [4, 1],
  [5, 2],
  [16, 4],
  [48, 16],
  [512, 16],
])('eventRingBytes() of %i CPUs is %i MiB', (cpuCount, mebibytes) => {
  expect(eventRingBytes(cpuCount)).toBe(mebibytes << 20);
});
