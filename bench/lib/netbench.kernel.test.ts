// SPDX-License-Identifier: Apache-2.0
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { netbench, startNetbenchServer, type NetbenchTest } from './netbench.ts';
import { createPlainPath, type PlainPath } from './plain-path.ts';

describe('netbench()', () => {
  let path: PlainPath;
  let server: { stop(): Promise<void> };
  beforeAll(async () => {
    path = await createPlainPath();
    server = await startNetbenchServer({ netns: path.server.netns, port: 7000, cpu: 0 });
  });
  afterAll(async () => {
    await server?.stop();
    await path?.remove();
  });

  const measure = (test: NetbenchTest, address: string): ReturnType<typeof netbench> =>
    netbench({ test, netns: path.client.netns, address, port: 7000, durationMs: 150, cpu: 0, connections: 2 });

  it.each<NetbenchTest>(['tcp_rr', 'tcp_crr', 'udp_rr'])('measures %s over IPv4 and IPv6', async (test) => {
    for (const address of [path.server.ipv4, path.server.ipv6]) {
      const { perSecond, p50Us, p99Us, errors } = await measure(test, address);
      expect(errors).toBe(0);
      expect(perSecond).toBeGreaterThan(100);
      expect(p99Us).toBeGreaterThanOrEqual(p50Us!);
      // Half of all round trips are faster than the median, so the rate cannot be far from its inverse.
      expect(perSecond! * p50Us!).toBeLessThan(2_000_000);
    }
  });

  it('measures streams by what arrived', async () => {
    const { gbitPerSecond, errors } = await measure('tcp_stream', path.server.ipv4);
    expect(errors).toBe(0);
    expect(gbitPerSecond).toBeGreaterThan(0.1);
  });

  it('refuses a measurement without a server, and says to where', async () => {
    await expect(measure('tcp_rr', path.client.ipv4)).rejects.toThrow(
      `Cannot measure tcp_rr to ${path.client.ipv4} port 7000`,
    );
  });
});
