// SPDX-License-Identifier: Apache-2.0

// Of an event, with some to spare.
const bytesPerEvent = 256;
const bytesMin = 1 << 20;
const bytesMax = 16 << 20;

/**
 * Bytes of the ring buffer between the kernel and the agent, a power of two: room for a second of what that many CPUs may
 * report, `eventsMax` each. It counts twice in the agent's resident memory, which is why it is not simply large.
 */
export function eventRingBytes({
  cpuCount,
  eventsMax,
}: {
  readonly cpuCount: number;
  readonly eventsMax: number;
}): number {
  let bytes = bytesMin;
  while (bytes < bytesMax && bytes < cpuCount * eventsMax * bytesPerEvent) bytes *= 2;
  return bytes;
}
