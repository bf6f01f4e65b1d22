// SPDX-License-Identifier: Apache-2.0

// A CPU may report 1,000 events a second of some 200 bytes each: a second of all that it may say.
const bytesPerCpu = 256 << 10;
const bytesMin = 1 << 20;
const bytesMax = 16 << 20;

/**
 * Bytes of the ring buffer between the kernel and the agent, a power of two: room for a second of what that many CPUs may
 * report. It counts twice in the agent's resident memory, which is why it is not simply large.
 */
export function eventRingBytes(cpuCount: number): number {
  let bytes = bytesMin;
  while (bytes < bytesMax && bytes < cpuCount * bytesPerCpu) bytes *= 2;
  return bytes;
}
