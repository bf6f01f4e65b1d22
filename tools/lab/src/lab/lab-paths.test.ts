// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { nodesMax } from '../network/plan.ts';
import { labPaths } from './lab-paths.ts';

describe('labPaths()', () => {
  it('keeps everything below one directory', () => {
    expect(labPaths('weir').node('node1').agentSocket).toBe('/run/weir-lab/weir/node1/run/agent.sock');
  });

  it('keeps sockets of the longest name within the 107 bytes of a socket address', () => {
    const paths = labPaths('x'.repeat(20));
    const { agentSocket } = paths.node(`node${nodesMax}`);
    expect(Math.max(agentSocket.length, paths.identitySocket(9).length, paths.supervisorSocket.length)).toBeLessThan(
      90,
    );
  });

  it.each(['', 'Weir', '1x', 'a-b', 'a/b', '..', 'x'.repeat(21)])('refuses the name "%s"', (name) => {
    expect(() => labPaths(name)).toThrow(`Invalid lab name "${name}": expected`);
  });
});
