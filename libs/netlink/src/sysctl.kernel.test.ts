// SPDX-License-Identifier: Apache-2.0
import { createTestNamespace, type TestNamespace } from '../testing/namespaces.ts';
import { setLink } from './link.ts';
import { addVeth } from './link-kinds.ts';
import { readSysctl, writeSysctl } from './sysctl.ts';

let namespace: TestNamespace;
beforeAll(async () => {
  namespace = createTestNamespace('sysctl');
  await namespace.netlink.batch([
    addVeth({ name: 'a.7', peer: { name: 'b' } }),
    setLink({ name: 'a.7' }, { up: true }),
  ]);
});
afterAll(() => {
  namespace.remove();
});

describe('writeSysctl() and readSysctl()', () => {
  it('work on the link of a namespace, even if its name has a dot', async () => {
    const key = { netns: namespace.netns, name: 'net/ipv4/conf/a.7/rp_filter' };
    await writeSysctl(key, 2);
    expect(await readSysctl(key)).toBe('2');
    await writeSysctl({ ...key, netns: `/run/netns/${namespace.name}` }, '0');
    expect(await readSysctl(key)).toBe('0');
  });

  it('work on the namespace of the process', async () => {
    const key = { name: 'net/core/somaxconn' };
    const value = await readSysctl(key);
    await writeSysctl(key, value);
    expect(await readSysctl(key)).toBe(value);
  });

  it('fail alike in both: NOT_FOUND for a name, INVALID_ARGUMENT for a value', async () => {
    for (const scope of [{}, { netns: namespace.netns }]) {
      await expect(writeSysctl({ ...scope, name: 'net/ipv4/none' }, 1)).rejects.toMatchObject({
        code: 'NOT_FOUND',
        message: 'Writing 1 to sysctl "net/ipv4/none" failed: there is no such sysctl',
      });
      await expect(readSysctl({ ...scope, name: 'net/ipv4/none' })).rejects.toMatchObject({ code: 'NOT_FOUND' });
      await expect(writeSysctl({ ...scope, name: 'net/ipv4/ip_forward' }, 'perhaps')).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
      });
    }
  });

  it.each([
    'kernel/panic',
    'net',
    'net/../kernel/panic',
    'net/ipv4/',
    '/proc/sys/net/ipv4/ip_forward',
    'net.ipv4.ip_forward',
  ])('refuse the name %s', async (name) => {
    await expect(readSysctl({ name })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});
