// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';

/** Named network namespaces of one test file, and `ip` inside them. */
export interface TestNamespaces {
  /** Path of a namespace, for `openNetworkNamespace()`. */
  path(name: string): string;
  /** Runs `ip ARGS` in a namespace and returns what it prints. */
  ip(name: string, args: string): string;
  /** Ties two namespaces together with a veth pair that is up; `a` and `b` are `NAMESPACE/ADDRESS/LENGTH` lists. */
  join(link: string, ends: Readonly<Record<string, readonly string[]>>): void;
  /** Deletes them all and with them every link in them. */
  remove(): void;
}

function run(command: string, args: readonly string[]): string {
  return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Makes empty namespaces whose loopback is up; their real names are unique to this process. */
export function createTestNamespaces(names: readonly string[]): TestNamespaces {
  const realName = (name: string): string => `weirbl${process.pid}-${name}`;
  const ip = (name: string, args: string): string => run('ip', ['-n', realName(name), ...args.split(' ')]);
  const remove = (): void => {
    for (const name of names) {
      if (existsSync(`/run/netns/${realName(name)}`)) run('ip', ['netns', 'del', realName(name)]);
    }
  };
  remove();
  for (const name of names) {
    run('ip', ['netns', 'add', realName(name)]);
    ip(name, 'link set lo up');
  }
  return {
    path: (name) => `/run/netns/${realName(name)}`,
    ip,
    join: (link, ends) => {
      const [first = '', second = ''] = Object.keys(ends);
      ip(first, `link add ${link} type veth peer name ${link} netns ${realName(second)}`);
      for (const [name, addresses] of Object.entries(ends)) {
        for (const address of addresses) {
          ip(name, `address add ${address} dev ${link}${address.includes(':') ? ' nodad' : ''}`);
        }
        ip(name, `link set ${link} addrgenmode none up`);
      }
    },
    remove,
  };
}
