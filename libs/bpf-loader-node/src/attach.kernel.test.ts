// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, readlinkSync, rmdirSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals';
import { createTestNamespaces, type TestNamespaces } from '../testing/namespaces.ts';
import { describeAsRoot, loadSample, temporaryBpffs, u32 } from '../testing/sample.ts';
import {
  attachCgroup,
  attachTc,
  attachTcxAsync,
  attachXdp,
  openNetworkNamespace,
  openPinnedLink,
  unpin,
} from './index.ts';
import type { BpfObject, Link, TcOptions } from './index.ts';

const bpffs = temporaryBpffs();
let sample: BpfObject;
let namespaces: TestNamespaces;
/** Path of a namespace that has the loopback interface and one end of a veth pair. */
let netns = '';
const opened: Link[] = [];
beforeAll(() => {
  sample = loadSample();
  namespaces = createTestNamespaces(['here', 'there']);
  namespaces.join('veth0', { here: [], there: [] });
  netns = namespaces.path('here');
});
afterAll(() => {
  sample.close();
  namespaces.remove();
});
afterEach(() => {
  for (const link of opened.splice(0)) link.close();
});

function keep(link: Link): Link {
  opened.push(link);
  return link;
}

/** Packets that `count_packets` has seen since the last call. */
function countedPackets(): bigint {
  const value = sample.map('counters').lookup(u32(7));
  sample.map('counters').delete(u32(7));
  return value === undefined ? 0n : new BigUint64Array(value.buffer)[0]!;
}

/** Whether a packet gets through the loopback interface of the namespace. */
function loopbackPasses(): boolean {
  const { status } = spawnSync('ip', ['netns', 'exec', basename(netns), 'ping', '-c1', '-W0.2', '127.0.0.1']);
  return status === 0;
}

const loopback = 1;

function interfaceIndex(name: string): number {
  return Number(namespaces.ip('here', `-o link show ${name}`).split(':')[0]);
}

describeAsRoot('attachTcxAsync()', () => {
  const place = { ifindex: loopback, direction: 'ingress' } as const;

  it('attaches while JavaScript goes on, with a program that may be closed meanwhile', async () => {
    const own = loadSample();
    const attaching = attachTcxAsync(own.program('drop_packets'), { ...place, netns });
    own.close();
    expect(keep(await attaching).info()).toMatchObject({ type: 'tcx', attachType: 'tcx_ingress' });
    expect(loopbackPasses()).toBe(false);
  });

  it('rejects with what the kernel said', async () => {
    const missing = attachTcxAsync(sample.program('count_packets'), { ...place, ifindex: 999_999 });
    await expect(missing).rejects.toMatchObject({ errnoName: 'ENODEV', operation: 'bpf_link_create' });
    const nowhere = attachTcxAsync(sample.program('count_packets'), { ...place, netns: '/run/netns/missing' });
    await expect(nowhere).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

describeAsRoot.each(['tcx', 'filter'] as const)('attachTc() by %s', (mechanism) => {
  const place = (direction: 'ingress' | 'egress'): TcOptions => ({
    ifindex: loopback,
    direction,
    netns,
    mechanism,
  });

  it('runs the program in another namespace, and stays in its own', () => {
    const before = readlinkSync('/proc/thread-self/ns/net');
    keep(attachTc(sample.program('count_packets'), place('ingress')));
    expect(readlinkSync('/proc/thread-self/ns/net')).toBe(before);
    countedPackets();
    expect(loopbackPasses()).toBe(true);
    expect(countedPackets()).toBeGreaterThanOrEqual(2n);
  });

  it('takes a namespace that is held open as well as a path', () => {
    using namespace = openNetworkNamespace(netns);
    keep(attachTc(sample.program('count_packets'), { ...place('ingress'), netns: namespace }));
    countedPackets();
    loopbackPasses();
    expect(countedPackets()).toBeGreaterThanOrEqual(2n);
  });

  it('runs at egress', () => {
    keep(attachTc(sample.program('count_packets'), place('egress')));
    countedPackets();
    loopbackPasses();
    expect(countedPackets()).toBeGreaterThanOrEqual(2n);
  });

  it('info() tells interface, hook and program', () => {
    const link = keep(attachTc(sample.program('count_packets'), place('ingress')));
    expect(link.info()).toMatchObject({
      type: mechanism === 'tcx' ? 'tcx' : 'tc_filter',
      ifindex: loopback,
      attachType: 'tcx_ingress',
      programId: sample.program('count_packets').info().id,
    });
  });

  it('update() replaces the program in place', () => {
    const link = keep(attachTc(sample.program('count_packets'), place('ingress')));
    link.update(sample.program('drop_packets'));
    expect(link.info().programId).toBe(sample.program('drop_packets').info().id);
    expect(loopbackPasses()).toBe(false);
  });

  it('close() of a link that is not pinned detaches it', () => {
    attachTc(sample.program('drop_packets'), place('ingress')).close();
    expect(loopbackPasses()).toBe(true);
  });

  it('a pinned link stays, is opened again, updated and detached', () => {
    const path = bpffs.path(`link_${mechanism}`);
    const link = attachTc(sample.program('drop_packets'), place('ingress'));
    link.pin(path);
    link.close();
    expect(loopbackPasses()).toBe(false);
    const again = keep(openPinnedLink(path));
    expect(again.info().programId).toBe(sample.program('drop_packets').info().id);
    again.update(sample.program('count_packets'));
    expect(loopbackPasses()).toBe(true);
    again.update(sample.program('drop_packets'));
    again.detach();
    expect(loopbackPasses()).toBe(true);
    expect(again.info().ifindex).toBe(0);
    unpin(path);
  });

  it('says which interface of which namespace does not exist', () => {
    expect(() => attachTc(sample.program('drop_packets'), { ...place('ingress'), ifindex: 9999 })).toThrow(
      /interface 9999.*\(ENODEV\)/,
    );
  });

  it('says which namespace cannot be entered, and stays in its own', () => {
    const before = readlinkSync('/proc/thread-self/ns/net');
    expect(() => attachTc(sample.program('drop_packets'), { ...place('ingress'), netns: '/run/netns/none' })).toThrow(
      'Cannot open the network namespace "/run/netns/none"',
    );
    expect(() => attachTc(sample.program('drop_packets'), { ...place('ingress'), netns: '/etc/passwd' })).toThrow(
      'Cannot enter the network namespace "/etc/passwd"',
    );
    expect(readlinkSync('/proc/thread-self/ns/net')).toBe(before);
  });

  it('every call throws after close()', () => {
    const link = attachTc(sample.program('count_packets'), place('ingress'));
    link.close();
    link.close();
    const closed = expect.objectContaining({ code: 'FAILED_PRECONDITION', message: 'Link is closed' });
    expect(() => link.info()).toThrow(closed);
    expect(() => {
      link.update(sample.program('drop_packets'));
    }).toThrow(closed);
    expect(() => {
      link.pin(bpffs.path('x'));
    }).toThrow(closed);
  });
});

describeAsRoot('attachTc()', () => {
  it('puts a program before the others with `first`', () => {
    const place = { ifindex: loopback, direction: 'ingress', netns, mechanism: 'tcx' } as const;
    keep(attachTc(sample.program('drop_packets'), place));
    const counter = keep(attachTc(sample.program('count_packets'), place));
    countedPackets();
    loopbackPasses();
    expect(countedPackets()).toBe(0n);
    counter.close();
    keep(attachTc(sample.program('count_packets'), { ...place, first: true }));
    loopbackPasses();
    expect(countedPackets()).toBeGreaterThanOrEqual(1n);
  });

  it('a pinned filter whose interface is gone is NOT_FOUND, and its pin is removed', () => {
    namespaces.ip('here', 'link add gone0 type veth peer name gone1');
    const ifindex = interfaceIndex('gone0');
    const link = attachTc(sample.program('count_packets'), {
      ifindex,
      direction: 'ingress',
      netns,
      mechanism: 'filter',
    });
    link.pin(bpffs.path('gone'));
    namespaces.ip('here', 'link del gone0');
    expect(() => openPinnedLink(bpffs.path('gone'))).toThrow(expect.objectContaining({ code: 'NOT_FOUND' }));
    expect(unpin(bpffs.path('gone'))).toBe(false);
  });

  it('refuses a program of another type', () => {
    expect(() =>
      attachTc(sample.program('xdp_pass'), { ifindex: loopback, direction: 'ingress', mechanism: 'tcx' }),
    ).toThrow(expect.objectContaining({ operation: 'bpf_link_create', errnoName: 'EINVAL' }));
  });
});

describeAsRoot('attachXdp()', () => {
  it('runs, tells its interface, and is replaced in place', () => {
    const link = keep(
      attachXdp(sample.program('xdp_pass'), { ifindex: interfaceIndex('veth0'), mode: 'generic', netns }),
    );
    expect(link.info()).toMatchObject({ type: 'xdp', ifindex: interfaceIndex('veth0') });
    expect(namespaces.ip('here', '-d link show veth0')).toContain('xdpgeneric');
    link.update(sample.program('xdp_pass'));
    link.close();
    expect(namespaces.ip('here', '-d link show veth0')).not.toContain('xdp');
  });

  it('"driver" is refused where the driver cannot', () => {
    expect(() => attachXdp(sample.program('xdp_pass'), { ifindex: loopback, mode: 'driver', netns })).toThrow(
      expect.objectContaining({ code: 'NOT_SUPPORTED', errnoName: 'EOPNOTSUPP' }),
    );
  });
});

describeAsRoot('attachCgroup()', () => {
  const root = /^\S+ (\S+) cgroup2 /m.exec(readFileSync('/proc/mounts', 'utf8'))?.[1] ?? '/sys/fs/cgroup';
  const cgroup = `${root}/weir-bl-${process.pid}`;
  beforeAll(() => {
    mkdirSync(cgroup);
  });
  afterAll(() => {
    rmdirSync(cgroup);
  });
  const connect = (): string => {
    const script = `echo $$ > ${cgroup}/cgroup.procs; exec 3<>/dev/tcp/127.0.0.1/4242`;
    return spawnSync('bash', ['-c', script], { encoding: 'utf8' }).stderr;
  };

  it('refuses what the program refuses, as long as the link is open', () => {
    const link = keep(
      attachCgroup(sample.program('deny_connect'), { path: cgroup, attachType: 'cgroup_inet4_connect' }),
    );
    expect(link.info()).toMatchObject({
      ...{ type: 'cgroup', attachType: 'cgroup_inet4_connect' },
      cgroupId: statSync(cgroup, { bigint: true }).ino,
    });
    expect(connect()).toContain('Operation not permitted');
    link.close();
    expect(connect()).toContain('Connection refused');
  });

  it('names a cgroup that is not there and a hook that is not one of cgroups', () => {
    const program = sample.program('deny_connect');
    expect(() => attachCgroup(program, { path: `${root}/none`, attachType: 'cgroup_inet4_connect' })).toThrow(
      `Cannot open the cgroup "${root}/none"`,
    );
    expect(() => attachCgroup(program, { path: cgroup, attachType: 'xdp' })).toThrow('"xdp" is not a hook of cgroups');
  });
});

describeAsRoot('openPinnedLink()', () => {
  it('of nothing is NOT_FOUND', () => {
    expect(() => openPinnedLink(bpffs.path('none'))).toThrow(expect.objectContaining({ code: 'NOT_FOUND' }));
  });

  it('of a program says what it is', () => {
    sample.program('drop_packets').pin(bpffs.path('program'));
    expect(() => openPinnedLink(bpffs.path('program'))).toThrow('as a link: it is "anon_inode:bpf-prog"');
  });
});
