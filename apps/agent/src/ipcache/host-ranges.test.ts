// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { formatCidr, type IpAddress, parseCidr, parseIpAddress } from '@weir/model';
import { createTestAgent, createTestNode, silent, type TestAgent, type TestNode } from '../testing/test-agent.ts';
import { keepHostAddresses } from './host-ranges.ts';

let node: TestNode;
let agent: TestAgent;
let current: IpAddress[];
let changed: () => void;
let stopped: boolean;
beforeEach(() => {
  node = createTestNode();
  agent = createTestAgent(node);
  current = ['10.1.1.1', 'fd01::1'].map(parseIpAddress);
  stopped = false;
});
afterEach(() => node.remove());

const keep = () =>
  keepHostAddresses({
    ...{ ipcache: agent.ipcache, controller: agent.controller, clock: node.clock, logger: silent },
    podRanges: [parseCidr('10.0.0.0/24')],
    addresses: {
      current: async () => current,
      onChange(callback) {
        changed = callback;
        return () => (stopped = true);
      },
    },
  });
const inKernel = (): string[] =>
  node.datapath
    .ipcache()
    .map(({ address, length, identity }) => `${formatCidr({ address, prefixLength: length } as never)} ${identity}`)
    .sort();

describe('keepHostAddresses()', () => {
  it('gives the addresses of the host their identity, as they come and go, and its pod ranges theirs', async () => {
    const { stop } = await keep();
    expect(inKernel()).toEqual(['10.0.0.0/24 3', '10.1.1.1/32 1', 'fd01::1/128 1']);
    current = [parseIpAddress('10.1.1.2')];
    changed();
    await node.clock.advance(0);
    expect(inKernel()).toEqual(['10.0.0.0/24 3', '10.1.1.2/32 1']);
    stop();
    expect(stopped).toBe(true);
  });

  it('tries again when the kernel refuses, and forgets nothing that has gone meanwhile', async () => {
    await keep();
    node.faults.failCall(1);
    current = [];
    changed();
    await node.clock.advance(999);
    expect(inKernel()).toHaveLength(3);
    await node.clock.advance(1);
    expect(inKernel()).toEqual(['10.0.0.0/24 3']);
  });
});
