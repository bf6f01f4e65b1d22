// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { openNetworkNamespace, type NetworkNamespace } from '@weir/bpf-loader-node';
import { createNetlink, type Netlink } from '../src/netlink.ts';

/** A named network namespace of one test file, with rtnetlink in it. */
export interface TestNamespace {
  readonly name: string;
  readonly netns: NetworkNamespace;
  readonly netlink: Netlink;
  /** What `ip -j ARGS` shows in the namespace. */
  ip(args: string): Record<string, unknown>[];
  /** Deletes the namespace and with it every link in it. */
  remove(): void;
}

function run(args: readonly string[]): string {
  return execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Makes an empty namespace; its real name is unique to this process. */
export function createTestNamespace(title: string): TestNamespace {
  const name = `weirnl${process.pid}-${title}`;
  const deleteName = (): void => {
    if (existsSync(`/run/netns/${name}`)) run(['netns', 'del', name]);
  };
  deleteName();
  run(['netns', 'add', name]);
  const netns = openNetworkNamespace(`/run/netns/${name}`);
  const netlink = createNetlink({ netns });
  return {
    name,
    netns,
    netlink,
    ip: (args) => JSON.parse(run(['-n', name, '-j', ...args.split(' ')]) || '[]') as Record<string, unknown>[],
    remove: () => {
      netlink.close();
      netns.close();
      deleteName();
    },
  };
}
