// SPDX-License-Identifier: Apache-2.0
// Every test has a network namespace of its own; what is tested runs in a process inside it.
import { execFileSync, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { NodeNetwork } from './node-network.ts';

const isRoot = process.getuid?.() === 0;
if (!isRoot) process.stderr.write("Tests of the node's network are skipped: they need root\n");
const describeAsRoot = isRoot ? describe : describe.skip;

const netns = `weirnn${process.pid}`;
const run = (command: string): string => {
  const [program = '', ...args] = command.split(' ');
  return execFileSync('ip', ['netns', 'exec', netns, program, ...args], { encoding: 'utf8', stdio: 'pipe' });
};
const sysctl = (path: string): string => run(`cat /proc/sys/net/${path}`).trim();
const setSysctl = (path: string, value: string): string => run(`sysctl -qw net.${path.replaceAll('/', '.')}=${value}`);

beforeEach(() => {
  execFileSync('ip', ['netns', 'add', netns]);
  for (const name of ['up0', 'other0']) run(`ip link add ${name} type veth peer name ${name}p`);
  // Link-local addresses come by themselves, some time later.
  for (const name of ['up0', 'up0p']) run(`ip link set ${name} addrgenmode none`);
  run('ip link set up0p up');
  run('ip link set up0 mtu 1400 up');
  run('ip address add 192.0.2.2/24 dev up0');
  run('ip route add default via 192.0.2.1');
});
afterEach(() => void execFileSync('ip', ['netns', 'delete', netns]));

const module = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** Runs `ensureNodeNetwork` inside, with the defaults of the agent. */
function ensure(options: object = {}): NodeNetwork {
  const source = `
    import { createNetlink } from '@weir/netlink';
    import { parseCidr, parseIpAddress } from '@weir/model';
    import { ensureNodeNetwork } from '${module('./node-network.ts')}';
    const range = (cidr, router) => ({ cidr: parseCidr(cidr), router: parseIpAddress(router) });
    using netlink = createNetlink();
    const ranges = { ipv4: range('10.9.0.0/24', '10.9.0.1'), ipv6: range('fd09::/64', 'fd09::1') };
    try {
      console.log(JSON.stringify(await ensureNodeNetwork(netlink, { ...ranges, ...${JSON.stringify(options)} })));
    } catch (error) {
      console.error(error.message);
      process.exitCode = 1;
    }`;
  const args = ['netns', 'exec', netns, process.execPath, '--input-type=module-typescript', '--eval', source];
  const env = { ...process.env, NODE_OPTIONS: '--disable-warning=ExperimentalWarning' };
  const { status, stdout, stderr } = spawnSync('ip', args, { cwd: import.meta.dirname, encoding: 'utf8', env });
  if (status !== 0) throw new TypeError(stderr);
  return JSON.parse(stdout) as NodeNetwork;
}

const state = (): string =>
  ['ip -o link show', 'ip -4 rule', 'ip -6 rule', 'ip -4 route show table all', 'ip -6 route show table all']
    .map(run)
    .join('');

describeAsRoot('ensureNodeNetwork()', () => {
  it('makes the devices, addresses, routes and rules that the datapath stands on', () => {
    const { uplinks, mtu, hostIfindex } = ensure();
    expect(uplinks.map(({ name }) => name)).toEqual(['up0']);
    expect(mtu).toBe(1400);
    const link = run('ip -o link show weir_net');
    expect(link).toMatch(new RegExp(`^${hostIfindex}: weir_net@weir_host: .*NOARP.*UP.* mtu 1400 .*ee:ee:ee:ee:ee:ee`));
    expect(run('ip -4 route')).toContain('10.9.0.0/24 dev weir_host proto 87 scope link src 10.9.0.1');
    expect(run('ip -6 route')).toContain('fd09::/64 dev weir_host proto 87 src fd09::1');
    for (const family of ['-4', '-6']) {
      const rules = run(`ip ${family} rule`);
      expect(rules).toMatch(/^9:\s+from all fwmark 0x200\/0xf00 lookup 2004/m);
      expect(rules).toMatch(/^10:\s+from all fwmark 0xa00\/0xe00 lookup 2005/m);
      expect(rules).toMatch(/^100:\s+from all lookup local/m);
      expect(rules).not.toMatch(/^0:/m);
      expect(run(`ip ${family} route show table 2004`)).toMatch(/^local default dev lo/);
      expect(run(`ip ${family} route show table 2005`)).toMatch(/^default dev weir_host/);
    }
    expect(['ipv4/ip_forward', 'ipv6/conf/all/forwarding', 'ipv4/conf/weir_net/accept_local'].map(sysctl)).toEqual([
      ...['1', '1', '1'],
    ]);
  });

  it('changes nothing when it is called again', () => {
    const first = ensure();
    const before = state();
    expect(ensure()).toEqual(first);
    expect(state()).toBe(before);
  });

  it('repairs what somebody has taken away', () => {
    ensure();
    const before = run('ip -4 route') + run('ip -6 rule');
    run('ip link set weir_net down');
    run('ip -6 rule delete priority 9');
    ensure();
    expect(run('ip -4 route') + run('ip -6 rule')).toBe(before);
    expect(run('ip -o link show weir_net')).toContain('LOWER_UP');
  });

  it('keeps devices that live on router advertisements listening, and leaves others as they were', () => {
    setSysctl('ipv6/conf/up0/accept_ra', '1');
    setSysctl('ipv6/conf/other0/accept_ra', '0');
    ensure();
    expect([sysctl('ipv6/conf/up0/accept_ra'), sysctl('ipv6/conf/other0/accept_ra')]).toEqual(['2', '0']);
  });

  it('turns reverse path filtering off for its own devices only', () => {
    setSysctl('ipv4/conf/all/rp_filter', '1');
    setSysctl('ipv4/conf/other0/rp_filter', '2');
    setSysctl('ipv4/conf/up0/rp_filter', '0');
    ensure();
    const values = ['all', 'weir_host', 'weir_net', 'up0', 'other0', 'default'];
    expect(values.map((name) => sysctl(`ipv4/conf/${name}/rp_filter`))).toEqual([
      '0',
      '0',
      '0',
      '1',
      '2',
      expect.any(String),
    ]);
  });

  it('takes the uplinks and the MTU that it is told', () => {
    const { uplinks, mtu } = ensure({ devices: ['other0'], isOverlay: false, mtu: 9000 });
    expect([uplinks.map(({ name }) => name), mtu]).toEqual([['other0'], 9000]);
    expect(ensure({ devices: [] }).uplinks).toEqual([]);
  });

  it('refuses an uplink that does not exist, and names those that do, before it changes anything', () => {
    const before = state();
    expect(() => ensure({ devices: ['eth9'] })).toThrow(
      /--devices: "eth9" is not a device of this node; it has lo, .*up0, /,
    );
    expect(state()).toBe(before);
  });

  it('does without an uplink', () => {
    run('ip route delete default');
    expect(ensure()).toMatchObject({ uplinks: [], mtu: 1500 });
  });
});
