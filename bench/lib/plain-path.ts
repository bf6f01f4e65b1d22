// SPDX-License-Identifier: Apache-2.0
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { benchNamespace } from './leftovers.ts';

const run = promisify(execFile);

/** Two namespaces with a routing one between them, joined by plain veth pairs: the baseline of a path between pods. */
export interface PlainPath {
  readonly client: { readonly netns: string; readonly ipv4: string; readonly ipv6: string };
  readonly server: { readonly netns: string; readonly ipv4: string; readonly ipv6: string };
  /** The namespace between them. */
  readonly router: string;
  remove(): Promise<void>;
}

/** Makes the path; the caller removes it. Several have names of their own. Needs root. */
export async function createPlainPath(name = ''): Promise<PlainPath> {
  const router = benchNamespace(`${name}r`);
  const end = (side: 'a' | 'b', subnet: number): PlainPath['client'] => ({
    netns: benchNamespace(`${name}${side}`),
    ipv4: `198.18.${subnet}.2`,
    ipv6: `2001:db8:${subnet}::2`,
  });
  const client = end('a', 1);
  const server = end('b', 2);
  const remove = async (): Promise<void> => {
    // A namespace that was never made is as good as removed.
    await Promise.allSettled([router, client.netns, server.netns].map((name) => run('ip', ['netns', 'del', name])));
  };
  try {
    await addNamespace(router, ['net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1']);
    for (const [index, { netns, ipv4, ipv6 }] of [client, server].entries()) {
      const device = `side${index}`;
      await addNamespace(netns, []);
      await run('ip', ['-n', router, 'link', 'add', device, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', netns]);
      await configure({ netns: router, device, ipv4: ipv4.replace(/2$/, '1'), ipv6: ipv6.replace(/2$/, '1') });
      await configure({ netns, device: 'eth0', ipv4, ipv6 });
      await run('ip', ['-n', netns, 'route', 'add', 'default', 'via', ipv4.replace(/2$/, '1')]);
      await run('ip', ['-n', netns, '-6', 'route', 'add', 'default', 'via', ipv6.replace(/2$/, '1')]);
    }
  } catch (error) {
    await remove();
    throw error;
  }
  return { client, server, router, remove };
}

/** A namespace with its loopback up, in which addresses can be used at once. */
export async function addNamespace(netns: string, settings: readonly string[]): Promise<void> {
  await run('ip', ['netns', 'add', netns]);
  await run('ip', ['-n', netns, 'link', 'set', 'lo', 'up']);
  // Nobody else is on these links: a second of duplicate address detection would only be waited for.
  await run('ip', ['netns', 'exec', netns, 'sysctl', '-qw', 'net.ipv6.conf.default.accept_dad=0', ...settings]);
}

/** Gives a device its addresses and takes it up. */
export async function configure(end: { netns: string; device: string; ipv4: string; ipv6: string }): Promise<void> {
  const inside = ['-n', end.netns];
  await run('ip', [...inside, 'addr', 'add', `${end.ipv4}/24`, 'dev', end.device]);
  await run('ip', [...inside, 'addr', 'add', `${end.ipv6}/64`, 'dev', end.device]);
  await run('ip', [...inside, 'link', 'set', end.device, 'up']);
}
