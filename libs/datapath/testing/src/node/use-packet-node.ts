// SPDX-License-Identifier: Apache-2.0
import { afterAll, beforeAll, beforeEach, describe } from '@jest/globals';
import { createPacketNode, type PacketNode, type PacketNodeOptions } from './packet-node.ts';

const isRoot = process.getuid?.() === 0;
if (!isRoot) process.stderr.write('Packet tests are skipped: they need root\n');

/** A `describe` for packet tests; where there is no root it is skipped, and the reason printed. */
export const describePackets = isRoot ? describe : describe.skip;

/** One node for the tests of a `describe`, as new before each of them. */
export function usePacketNode(options: PacketNodeOptions = {}): PacketNode {
  let node: PacketNode | undefined;
  beforeAll(() => {
    node = createPacketNode(options);
  });
  beforeEach(() => node?.reset());
  afterAll(() => node?.close());
  // Tests are declared before there is a node, so they get a stand-in that finds it when they run.
  return new Proxy({} as PacketNode, {
    get: (_target, property: keyof PacketNode) => node?.[property],
  });
}
