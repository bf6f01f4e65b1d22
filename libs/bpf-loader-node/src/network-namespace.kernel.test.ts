// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { createTestNamespaces, type TestNamespaces } from '../testing/namespaces.ts';
import { openNetlinkSocket } from './netlink-socket.ts';
import { openNetworkNamespace, readFileInNetns, writeFileInNetns, type NetworkNamespace } from './network-namespace.ts';

const forward = '/proc/sys/net/ipv4/ip_forward';

let namespaces: TestNamespaces;
let directory: string;
beforeAll(() => {
  namespaces = createTestNamespaces(['a', 'b']);
  directory = mkdtempSync(`${tmpdir()}/weir-netns-`);
});
afterAll(() => {
  namespaces.remove();
  rmSync(directory, { recursive: true });
});

describe('openNetworkNamespace()', () => {
  it('identifies a namespace by inode and device, whatever the path', () => {
    using own = openNetworkNamespace('/proc/self/ns/net');
    using again = openNetworkNamespace(`/proc/${process.pid}/ns/net`);
    using a = openNetworkNamespace(namespaces.path('a'));
    expect(readlinkSync('/proc/self/ns/net')).toBe(`net:[${own.inode}]`);
    expect({ inode: a.inode, device: a.device }).toEqual({
      inode: statSync(namespaces.path('a')).ino,
      device: statSync(namespaces.path('a')).dev,
    });
    expect(own.isSameAs(again)).toBe(true);
    expect(own.isSameAs(a)).toBe(false);
  });

  it('fails with NOT_FOUND if there is nothing at the path', () => {
    expect(() => openNetworkNamespace('/run/netns/weir-none')).toThrow(
      expect.objectContaining({ code: 'NOT_FOUND', message: expect.stringContaining('"/run/netns/weir-none"') }),
    );
  });

  it('refuses a file, a directory, a FIFO and a namespace of another kind', () => {
    writeFileSync(`${directory}/file`, '');
    execFileSync('mkfifo', [`${directory}/fifo`]);
    for (const path of [`${directory}/file`, directory, `${directory}/fifo`, '/proc/self/ns/uts']) {
      expect(() => openNetworkNamespace(path)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    }
  });

  it.each([
    ['nothing', undefined],
    ['a number', 7],
    ['a string with a zero byte', 'a\0b'],
    ['a string of 5000 bytes', 'x'.repeat(5000)],
  ])('refuses %s as a path', (_title, path) => {
    expect(() => openNetworkNamespace(path as string)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  });

  it('keeps a namespace alive whose name is gone', async () => {
    const short = createTestNamespaces(['short']);
    using netns = openNetworkNamespace(short.path('short'));
    short.remove();
    using socket = openNetlinkSocket({ netns });
    expect(await readFileInNetns(netns, forward)).toBe('0\n');
    expect(() => socket.close()).not.toThrow();
  });
});

describe('NetworkNamespace.close()', () => {
  it('makes every later use fail with FAILED_PRECONDITION, and can be called twice', async () => {
    const netns = openNetworkNamespace(namespaces.path('a'));
    netns.close();
    netns.close();
    const closed = expect.objectContaining({ code: 'FAILED_PRECONDITION', message: expect.stringContaining('closed') });
    expect(() => netns.fd).toThrow(closed);
    expect(() => openNetlinkSocket({ netns })).toThrow(closed);
    await expect(writeFileInNetns(netns, forward, '1')).rejects.toEqual(closed);
  });

  it('leaves work that is under way alone', async () => {
    const netns = openNetworkNamespace(namespaces.path('a'));
    const reading = readFileInNetns(netns, forward);
    netns.close();
    expect(await reading).toBe('0\n');
  });
});

describe('writeFileInNetns() and readFileInNetns()', () => {
  let a: NetworkNamespace;
  let b: NetworkNamespace;
  beforeEach(() => {
    a = openNetworkNamespace(namespaces.path('a'));
    b = openNetworkNamespace(namespaces.path('b'));
  });
  afterEach(() => {
    a.close();
    b.close();
  });

  it('reach the sysctl of that namespace and of no other', async () => {
    const own = readFileSync(forward, 'utf8');
    await writeFileInNetns(a, forward, '1');
    expect([await readFileInNetns(a, forward), await readFileInNetns(b, forward)]).toEqual(['1\n', '0\n']);
    expect(readFileSync(forward, 'utf8')).toBe(own);
    await writeFileInNetns(a, forward, '0');
    expect(await readFileInNetns(a, forward)).toBe('0\n');
  });

  it('leave every thread of the process where it was', async () => {
    await Promise.all(Array.from({ length: 200 }, (_, i) => readFileInNetns(i % 2 === 0 ? a : b, forward)));
    const own = readlinkSync('/proc/self/ns/net');
    const threads = readdirSync('/proc/self/task');
    expect(threads.length).toBeGreaterThan(4);
    for (const thread of threads) expect(readlinkSync(`/proc/self/task/${thread}/ns/net`)).toBe(own);
  });

  it('report what the kernel refuses, with the path', async () => {
    await expect(writeFileInNetns(a, forward, 'perhaps')).rejects.toMatchObject({
      errnoName: 'EINVAL',
      operation: 'write',
    });
    await expect(writeFileInNetns(a, '/proc/sys/net/ipv4/none', '1')).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining('"/proc/sys/net/ipv4/none"'),
    });
    await expect(readFileInNetns(a, '/proc/sys/net')).rejects.toMatchObject({ errnoName: 'EISDIR' });
    await expect(readFileInNetns(a, '/proc/kallsyms')).rejects.toMatchObject({ errnoName: 'EFBIG' });
    await expect(writeFileInNetns(a, forward, '')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});
