// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { findCgroup2 } from './cgroup.ts';
import { parseMounts } from './mounts.ts';

const hybrid = `
25 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 25 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu rw shared:4 - cgroup cgroup rw,cpu
32 30 0:28 / /sys/fs/cgroup/unified rw shared:5 master:1 - cgroup2 cgroup2 rw
40 25 0:40 / /mnt/a\\040b rw - bpf none rw
`;

describe('parseMounts()', () => {
  it('reads path and type behind any number of optional fields', () => {
    expect(parseMounts(hybrid)).toEqual([
      { path: '/', type: 'ext4' },
      { path: '/sys/fs/cgroup', type: 'tmpfs' },
      { path: '/sys/fs/cgroup/cpu', type: 'cgroup' },
      { path: '/sys/fs/cgroup/unified', type: 'cgroup2' },
      { path: '/mnt/a b', type: 'bpf' },
    ]);
  });
});

describe('findCgroup2()', () => {
  it('finds version 2 beside version 1', () => {
    expect(findCgroup2(parseMounts(hybrid))).toBe('/sys/fs/cgroup/unified');
  });

  it('prefers the usual place to a mount that somebody made elsewhere', () => {
    const mounts = ['/tmp/x', '/sys/fs/cgroup'].map((path) => ({ path, type: 'cgroup2' }));
    expect(findCgroup2(mounts)).toBe('/sys/fs/cgroup');
  });

  it('gives nothing where version 2 is not mounted', () => {
    expect(findCgroup2([{ path: '/sys/fs/cgroup', type: 'cgroup' }])).toBeUndefined();
  });
});
