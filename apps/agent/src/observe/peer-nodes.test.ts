// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { peerNodes as peers, type PeerNodesOptions } from './peer-nodes.ts';

const socket = 'unix:/run/weir/hubble.sock';
const nodes = [
  { name: 'a', addresses: ['10.0.0.1', 'fd00::1'], podRanges: [] },
  { name: 'b', addresses: ['fd00::2'], podRanges: [] },
  { name: 'c', addresses: [], podRanges: [] },
];

const peerNodes = (options: Omit<PeerNodesOptions, 'isEncrypted'>) => peers({ ...options, isEncrypted: false });

describe('peerNodes', () => {
  it('names this node by the address that it is bound to, and the others by theirs with the same port', () => {
    expect(peerNodes({ self: 'a', bound: [socket, '192.168.0.1:5000'], nodes })).toEqual([
      { name: 'a', address: '192.168.0.1:5000' },
      { name: 'b', address: '[fd00::2]:5000' },
      { name: 'c', address: '' },
    ]);
  });

  it('names this node by the address that it announces when it is bound to all of them', () => {
    const [self] = peerNodes({ self: 'a', bound: [socket, '0.0.0.0:4244'], nodes });
    expect(self).toEqual({ name: 'a', address: '10.0.0.1:4244' });
  });

  it.each([[[socket]], [[socket, '[::]:4244']]])('names this node by its socket when it has but %j', (bound) => {
    expect(peerNodes({ self: 'x', bound, nodes: [] })).toEqual([
      { name: 'x', address: 'unix:///run/weir/hubble.sock' },
    ]);
  });

  it('expects others at the usual port when this node has none', () => {
    const others = peerNodes({ self: 'c', bound: [socket], nodes }).slice(1);
    expect(others.map(({ address }) => address)).toEqual(['10.0.0.1:4244', '[fd00::2]:4244']);
  });

  it('says whose certificate is to be expected over TCP', () => {
    const names = (bound: readonly string[]) =>
      peers({ self: 'a', bound, nodes, isEncrypted: true }).map(({ serverName }) => serverName);
    expect(names([socket, '10.0.0.1:4244'])).toEqual(['a.node.weir', 'b.node.weir', 'c.node.weir']);
    expect(names([socket])).toEqual([undefined, 'b.node.weir', 'c.node.weir']);
  });
});
