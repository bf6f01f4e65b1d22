// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { namespaceSetups } from './namespace-setup.ts';
import { nodesMax, planNetwork } from './plan.ts';

describe('planNetwork()', () => {
  it('numbers addresses and pod ranges by node', () => {
    const { nodes, world, lanNetns } = planNetwork({ lab: 'weir', nodeCount: 2 });
    expect(nodes[1]).toEqual({
      name: 'node2',
      netns: 'weir-node2',
      port: 'node2',
      address: { ipv4: '172.31.0.12', ipv6: 'fd00:172:31::12' },
      podRange: { ipv4: '10.244.2.0/24', ipv6: 'fd00:10:244:2::/64' },
    });
    expect([world.netns, lanNetns]).toEqual(['weir-world', 'weir-lan']);
  });

  it('gives every host of the largest lab addresses of its own', () => {
    const { nodes, world } = planNetwork({ lab: 'weir', nodeCount: nodesMax });
    const hosts = [world, ...nodes];
    expect(new Set(hosts.map(({ address }) => address.ipv4)).size).toBe(nodesMax + 1);
    expect(new Set(hosts.map(({ address }) => address.ipv6)).size).toBe(nodesMax + 1);
    expect(nodes.at(-1)?.address.ipv4).toBe('172.31.0.110');
  });
});

describe('namespaceSetups()', () => {
  it('makes the LAN first, with a cable to every host', () => {
    const [lan] = namespaceSetups(planNetwork({ lab: 'x', nodeCount: 2 }));
    expect(lan?.netns).toBe('x-lan');
    expect(lan?.ip.filter((line) => line.includes('veth')).map((line) => line.split(' ').at(-1))).toEqual([
      'x-world',
      'x-node1',
      'x-node2',
    ]);
  });

  it('routes each pod range from the world, and everything from a node to the world', () => {
    const [, world, node] = namespaceSetups(planNetwork({ lab: 'x', nodeCount: 1 }));
    expect(world?.ip.slice(-2)).toEqual([
      'route add 10.244.1.0/24 via 172.31.0.11',
      'route add fd00:10:244:1::/64 via fd00:172:31::11',
    ]);
    expect(node?.ip.slice(-2)).toEqual(['route add default via 172.31.0.2', 'route add default via fd00:172:31::2']);
  });
});
