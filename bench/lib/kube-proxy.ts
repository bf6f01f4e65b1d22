// SPDX-License-Identifier: Apache-2.0
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { WeirError } from '@weir/errors';
import { createPlainPath, type PlainPath } from './plain-path.ts';

const run = promisify(execFile);

/** What translates services in the namespace that forwards between the two ends. */
export type KubeProxyMode = 'iptables' | 'nftables';

/** A plain path on which one service of many is translated by the rules that kube-proxy would have written. */
export interface KubeProxyPath {
  readonly client: PlainPath['client'];
  /** Who is behind the service. */
  readonly server: PlainPath['server'];
  /** The service, which lies in the middle of the others. */
  readonly address: string;
  /** Replaces all rules by those of so many services. */
  load(services: number): Promise<void>;
  remove(): Promise<void>;
}

const serviceAddress = '10.96.0.1';
const fillerAddress = (index: number): string => `10.${97 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`;

interface Rules {
  readonly services: number;
  readonly port: number;
  readonly server: string;
}

/** Addresses of all services; the one that is measured is in the middle, where it is found after half of the others. */
function addresses(services: number): string[] {
  const fillers = Array.from({ length: services - 1 }, (_, index) => fillerAddress(index));
  const middle = Math.floor(fillers.length / 2);
  return [...fillers.slice(0, middle), serviceAddress, ...fillers.slice(middle)];
}

/**
 * One list with a rule a service, as kube-proxy writes it. What is behind the others is never looked at, so they share it:
 * a list of a hundred thousand is loaded in seconds and not in minutes.
 */
function iptablesRules({ services, port, server }: Rules): string {
  const rules = addresses(services).map((address) => {
    const chain = address === serviceAddress ? 'KUBE-SVC-MEASURED' : 'KUBE-SVC-OTHERS';
    return `-A KUBE-SERVICES -d ${address}/32 -p tcp -m comment --comment "default/web cluster IP" -m tcp --dport ${port} -j ${chain}`;
  });
  return [
    '*nat',
    ':KUBE-SERVICES - [0:0]',
    ':KUBE-POSTROUTING - [0:0]',
    ':KUBE-MARK-MASQ - [0:0]',
    ':KUBE-SVC-MEASURED - [0:0]',
    ':KUBE-SVC-OTHERS - [0:0]',
    ':KUBE-SEP-MEASURED - [0:0]',
    '-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
    '-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
    '-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING',
    '-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN',
    '-A KUBE-POSTROUTING -j MASQUERADE --random-fully',
    '-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000',
    ...rules,
    '-A KUBE-SVC-MEASURED -m comment --comment "default/web" -j KUBE-SEP-MEASURED',
    `-A KUBE-SEP-MEASURED -s ${server}/32 -j KUBE-MARK-MASQ`,
    `-A KUBE-SEP-MEASURED -p tcp -m tcp -j DNAT --to-destination ${server}:${port}`,
    'COMMIT',
    '',
  ].join('\n');
}

/** A map from address and port to the chain of the service, as kube-proxy writes it in its mode nftables. */
function nftablesRules({ services, port, server }: Rules): string {
  const elements = addresses(services).map((address) => {
    const chain = address === serviceAddress ? 'service-measured' : 'service-others';
    return `    ${address} . tcp . ${port} : goto ${chain}`;
  });
  return `
table ip kube-proxy
delete table ip kube-proxy
table ip kube-proxy {
  chain endpoint-measured {
    ip saddr ${server} jump mark-for-masquerade
    meta l4proto tcp dnat to ${server}:${port}
  }
  chain service-measured {
    numgen random mod 1 vmap { 0 : goto endpoint-measured }
  }
  chain service-others {
  }
  chain mark-for-masquerade {
    mark set mark or 0x4000
  }
  map service-ips {
    type ipv4_addr . inet_proto . inet_service : verdict
    elements = {
${elements.join(',\n')}
    }
  }
  chain services {
    ip daddr . meta l4proto . th dport vmap @service-ips
  }
  chain nat-prerouting {
    type nat hook prerouting priority dstnat; policy accept;
    jump services
  }
  chain nat-output {
    type nat hook output priority -100; policy accept;
    jump services
  }
  chain nat-postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    mark and 0x4000 != 0 masquerade fully-random
  }
}
`;
}

/** Gives the rules to a command that reads them from a file. */
async function loadRules(netns: string, { mode, rules }: { mode: KubeProxyMode; rules: string }): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'weir-bench-rules-'));
  const file = join(directory, 'rules');
  const command = mode === 'iptables' ? ['iptables-legacy-restore', file] : ['nft', '-f', file];
  try {
    await writeFile(file, rules);
    await run('ip', ['netns', 'exec', netns, ...command]);
  } catch (cause) {
    const said = (cause as { stderr?: string }).stderr?.trim().slice(0, 500) ?? '';
    throw new WeirError('FAILED_PRECONDITION', `Cannot load the rules of ${mode}: ${said}`, { cause });
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** Makes the path, without rules; the caller removes it. */
export async function createKubeProxyPath(mode: KubeProxyMode, port: number): Promise<KubeProxyPath> {
  const path = await createPlainPath(mode === 'iptables' ? 'i' : 'n');
  const { client, server, router } = path;
  return {
    ...{ client, server, address: serviceAddress },
    async load(services) {
      const rules = { services, port, server: server.ipv4 };
      await loadRules(router, { mode, rules: mode === 'iptables' ? iptablesRules(rules) : nftablesRules(rules) });
      // A connection for each round trip, which is remembered for two minutes, would soon fill the kernel's table.
      await run('ip', ['netns', 'exec', router, 'sysctl', '-qw', 'net.netfilter.nf_conntrack_tcp_timeout_time_wait=1']);
    },
    remove: () => path.remove(),
  };
}
