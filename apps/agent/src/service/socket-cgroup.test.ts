// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { createMemoryServices } from '@weir/datapath-testing';
import { WeirError } from '@weir/errors';
import { attachToSockets, cgroupRoot } from './socket-cgroup.ts';

const failing = (code: 'NOT_SUPPORTED' | 'FAILED_PRECONDITION') => ({
  ...createMemoryServices(),
  attachSockets() {
    throw new WeirError(code, 'no');
  },
});

describe('attachToSockets()', () => {
  it('takes the cgroup that it is told', () => {
    const services = createMemoryServices();
    expect(attachToSockets(services, '/cg/node')).toEqual({ cgroup: '/cg/node' });
    expect(services.cgroup).toBe('/cg/node');
  });

  it('leaves it at that where the kernel cannot, and fails where there is no such cgroup', () => {
    expect(attachToSockets(failing('NOT_SUPPORTED'), '/cg')).toEqual({ reason: 'no' });
    expect(() => attachToSockets(failing('FAILED_PRECONDITION'), '/cg')).toThrow('no');
  });
});

describe('cgroupRoot()', () => {
  it.each([
    ['cgroup2 /sys/fs/cgroup cgroup2 rw 0 0', '/sys/fs/cgroup'],
    ['tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0', '/sys/fs/cgroup/unified'],
    ['cgroup /sys/fs/cgroup/cpu cgroup rw 0 0', undefined],
  ])('finds version 2 in %j', (mounts, root) => expect(cgroupRoot(mounts)).toBe(root));
});
