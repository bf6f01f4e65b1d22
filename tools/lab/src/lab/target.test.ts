// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { planNetwork } from '../network/plan.ts';
import type { PodRecord } from '../pods/pod-record.ts';
import { findPlace } from './target.ts';

const pod = { namespace: 'default', name: 'web', netns: 'weir-default.web', cgroup: '/cg/node1/pods/default_web' };
const place = (target: string): unknown =>
  findPlace({
    target,
    network: planNetwork({ lab: 'weir', nodeCount: 2 }),
    pods: [pod as PodRecord],
    cgroup: '/cg',
  });

describe('findPlace()', () => {
  it('finds pods, nodes and the world', () => {
    expect(place('web')).toEqual({ netns: 'weir-default.web', cgroup: '/cg/node1/pods/default_web' });
    expect(place('@node2')).toEqual({ netns: 'weir-node2', cgroup: '/cg/node2/exec' });
    expect(place('@world')).toEqual({ netns: 'weir-world', cgroup: '/cg/world' });
  });

  it('names the hosts that there are when one is unknown', () => {
    expect(() => place('@node3')).toThrow('There is no host "@node3": expected one of @world, @node1, @node2');
  });
});
