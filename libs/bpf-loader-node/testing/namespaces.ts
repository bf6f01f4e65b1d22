// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';

/** Named network namespaces of one test file, and `ip` inside them. */
export interface TestNamespaces {
  /** Path of a namespace, for `openNetworkNamespace()`. */
  path(name: string): string;
  /** Runs `ip ARGS` in a namespace and returns what it prints. */
  ip(name: string, args: string): string;
  /** Ties two namespaces together with a veth pair, of that name in both, that is up and has the given addresses. */
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
      for (const [index, [name, addresses]] of Object.entries(ends).entries()) {
        // Neighbour solicitations come from a link-local address; the one the kernel makes is of no use for a second.
        for (const address of [...addresses, `fe80::${index + 1}/64`]) {
          ip(name, `address add ${address} dev ${link}${address.includes(':') ? ' nodad' : ''}`);
        }
        ip(name, `link set ${link} addrgenmode none up`);
      }
    },
    remove,
  };
}
