// SPDX-License-Identifier: Apache-2.0
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { benchNamespace } from './leftovers.ts';
import { addNamespace, configure, type PlainPath } from './plain-path.ts';

const run = promisify(execFile);
const sides = ['a', 'b'] as const;

interface Side {
  readonly end: PlainPath['client'];
  readonly router: string;
  readonly underlay: string;
  /** Inside the tunnel. */
  readonly inner: string;
  readonly inner6: string;
}

const sideOf = (index: number): Side => ({
  end: {
    netns: benchNamespace(sides[index] ?? 'a'),
    ...{ ipv4: `198.18.${index + 1}.2`, ipv6: `2001:db8:${index + 1}::2` },
  },
  router: benchNamespace(`router${index}`),
  ...{ underlay: `198.19.0.${index + 1}`, inner: `198.19.1.${index + 1}`, inner6: `2001:db8:ff::${index + 1}` },
});

async function addSide(side: Side, bridge: string, index: number): Promise<void> {
  const { end, router, underlay, inner, inner6 } = side;
  const far = sideOf(1 - index);
  const ip = (netns: string, text: string): Promise<unknown> => run('ip', ['-n', netns, ...text.split(' ')]);
  await addNamespace(router, ['net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1']);
  await addNamespace(end.netns, []);
  await ip(bridge, `link add port${index} type veth peer name eth0 netns ${router}`);
  await ip(bridge, `link set port${index} master bridge up`);
  await configure({ netns: router, device: 'eth0', ipv4: underlay, ipv6: `2001:db8:fe::${index + 1}` });
  await ip(router, `link add tunnel type vxlan id 7 dstport 4789 local ${underlay} remote ${far.underlay} dev eth0`);
  await ip(router, 'link set tunnel mtu 1450');
  await configure({ netns: router, device: 'tunnel', ipv4: inner, ipv6: inner6 });
  await ip(router, `link add pod type veth peer name eth0 netns ${end.netns}`);
  const [gateway, gateway6] = [end.ipv4.replace(/2$/, '1'), end.ipv6.replace(/2$/, '1')];
  await configure({ netns: router, device: 'pod', ipv4: gateway, ipv6: gateway6 });
  await configure({ netns: end.netns, device: 'eth0', ipv4: end.ipv4, ipv6: end.ipv6 });
  await ip(end.netns, 'link set eth0 mtu 1450');
  await ip(end.netns, `route add default via ${gateway}`);
  await ip(end.netns, `-6 route add default via ${gateway6}`);
  await ip(router, `route add ${far.end.ipv4.replace(/2$/, '0')}/24 via ${far.inner}`);
  await ip(router, `-6 route add ${far.end.ipv6.replace(/2$/, '')}/64 via ${far.inner6}`);
}

/** Two namespaces, each behind a router, with the kernel's own VXLAN between the routers over a bridge. Needs root. */
export async function createPlainOverlay(): Promise<Omit<PlainPath, 'router'>> {
  const bridge = benchNamespace('bridge');
  const both = [sideOf(0), sideOf(1)];
  const all = [bridge, ...both.flatMap(({ router, end }) => [router, end.netns])];
  const remove = async (): Promise<void> => {
    // A namespace that was never made is as good as removed.
    await Promise.allSettled(all.map((name) => run('ip', ['netns', 'del', name])));
  };
  try {
    await addNamespace(bridge, []);
    await run('ip', ['-n', bridge, 'link', 'add', 'bridge', 'type', 'bridge']);
    await run('ip', ['-n', bridge, 'link', 'set', 'bridge', 'up']);
    for (const [index, side] of both.entries()) await addSide(side, bridge, index);
  } catch (error) {
    await remove();
    throw error;
  }
  return { client: sideOf(0).end, server: sideOf(1).end, remove };
}
