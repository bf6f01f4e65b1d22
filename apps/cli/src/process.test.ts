// SPDX-License-Identifier: Apache-2.0
// What only a process of its own shows: pipes that close, signals, colours.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createTestCli, spawnWeir, type TestCli } from './testing/test-cli.ts';

let cli: TestCli;
beforeAll(async () => {
  cli = createTestCli();
  await cli.answer({
    listEndpoints: () => ({ endpoints: [{ id: 1, state: 'ready' }] }),
    async *monitor(_request, { signal }) {
      while (!signal.aborted) {
        yield { type: 'lost', lost: 1, lostSource: 'proxy' };
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    },
  });
});
afterAll(() => cli.close());

describe('weir', () => {
  it('ends quietly when its reader has seen enough', async () => {
    const args = ['--address', cli.address, 'monitor', '-o', 'json'];
    const { status, stderr } = await spawnWeir(args, { onOutput: (child) => child.stdout?.destroy() });
    expect([status, stderr]).toEqual([0, '']);
  });

  it('ends with 0 when a person ends the watching', async () => {
    const args = ['--address', cli.address, 'monitor'];
    const { status, stderr } = await spawnWeir(args, { onOutput: (child) => child.kill('SIGINT') });
    expect([status, stderr]).toEqual([0, '==> Watching; Ctrl-C ends it\n']);
  });

  it('colours where it is asked to, and not where it is asked not to', async () => {
    const run = async (env: NodeJS.ProcessEnv) =>
      (await spawnWeir(['endpoint', 'list'], { env: { WEIR_ADDRESS: cli.address, ...env } })).stdout;
    expect(await run({ FORCE_COLOR: '1', NO_COLOR: undefined })).toContain('\u001b[32mready');
    expect(await run({ FORCE_COLOR: undefined, NO_COLOR: '1' })).not.toContain('\u001b');
  });
});
