// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type FlowWatch, startFlowWatch } from './flow-watch.ts';
import { startNetbenchServer } from './netbench.ts';
import { createPlainPath, type PlainPath } from './plain-path.ts';

describe('startFlowWatch()', () => {
  const port = 7100;
  let path: PlainPath;
  let server: { stop(): Promise<void> };
  let watch: FlowWatch;
  beforeAll(async () => {
    path = await createPlainPath();
    server = await startNetbenchServer({ netns: path.server.netns, port });
    watch = startFlowWatch({ netns: path.client.netns, address: path.server.ipv4, port });
  });
  afterAll(async () => {
    await server?.stop();
    await path?.remove();
  });

  const route = (action: string): bigint => {
    const before = process.hrtime.bigint();
    execFileSync('ip', ['-n', path.client.netns, 'route', action, 'blackhole', `${path.server.ipv4}/32`]);
    return before;
  };

  it('tells when the way closed and opened, and not before it did', async () => {
    await watch.change('open', 0n);
    for (const [action, fate] of [
      ['add', 'closed'],
      ['del', 'open'],
    ] as const) {
      const before = route(action);
      const after = process.hrtime.bigint();
      const changed = await watch.change(fate, before);
      expect(changed).toBeGreaterThanOrEqual(before);
      // The command was over when it changed, or nearly.
      expect(changed).toBeLessThan(after + 1_000_000_000n);
    }
    // What was sent while the way was closed is lost, and nothing else.
    const { sent, lost } = await watch.stop();
    expect(lost).toBeGreaterThan(0);
    expect(lost).toBeLessThan(sent);
  });

  it('loses nothing of a way that is open', async () => {
    const steady = startFlowWatch({ netns: path.client.netns, address: path.server.ipv6, port, intervalUs: 1_000 });
    await steady.change('open', 0n);
    const { sent, lost } = await steady.stop();
    expect(sent).toBeGreaterThan(0);
    expect(lost).toBe(0);
  });
});
