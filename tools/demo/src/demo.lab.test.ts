// SPDX-License-Identifier: Apache-2.0
// The walkthrough as `make demo` runs it, from the built programs.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { createLab, runCommand, type CommandResult } from '@weir/lab';

const root = join(import.meta.dirname, '../../..');
const lab = createLab({ name: `demo${process.pid % 100_000}` });
const demo = (...args: string[]): Promise<CommandResult> =>
  runCommand([process.execPath, join(root, 'dist/demo.mjs'), ...args], {
    env: {
      ...process.env,
      NODE_OPTIONS: '',
      FORCE_COLOR: undefined,
      NO_COLOR: '1',
      KEEP: '',
      NODES: '',
      ROUTING: '',
      WEIR_LAB: lab.name,
    },
  });

afterEach(() => lab.down(), 30_000);

describe('make demo', () => {
  it.each([
    ['one node', []],
    ['two nodes in the overlay', ['--nodes', '2']],
    ['two nodes with routes', ['--nodes', '2', '--routing', 'direct']],
  ])('on %s shows all that it is to show, and leaves nothing', async (_where, args) => {
    const { status, stdout, stderr } = await demo(...args);
    expect({ status, wrong: stdout.split('\n').filter((line) => line.includes('✗')), stderr }).toMatchObject({
      status: 0,
      wrong: [],
    });
    expect(stdout).toMatch(/403 Access denied/);
    expect(stdout).toMatch(/drop dropped: default\/xwing .* → default\/deathstar .* policy default\/rule1/);
    expect(stdout).toMatch(/l7 denied: default\/tiefighter .* → default\/deathstar .* 403.* policy default\/rule1/);
    expect(existsSync(lab.paths.directory)).toBe(false);
  });

  it('refuses to remove a lab with pods of somebody else', async () => {
    await lab.up();
    await lab.addPod({ name: 'mine' });
    const { status, stderr } = await demo();
    expect(status).toBe(1);
    expect(stderr).toContain('is up with pods of yours (mine)');
    expect(await lab.pods()).toHaveLength(1);
  });

  it('refuses a routing that is none', async () => {
    expect(await demo('--routing', 'scenic')).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('expected "direct" or "overlay"'),
    });
  });

  it('refuses a number of nodes that is none', async () => {
    expect(await demo('--nodes', 'two')).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('expected 1 to 99'),
    });
  });
});
