// SPDX-License-Identifier: Apache-2.0
import { netnsPath, type NamespaceRegistry } from '../machine/network-namespace.ts';
import { requireCommand } from '../machine/run-command.ts';
import { namespaceSetups, type NamespaceSetup } from './namespace-setup.ts';
import type { NetworkPlan } from './plan.ts';

/** Makes the namespaces of a plan, joins them, and sets them up. Nothing of it touches the caller's own namespace. */
export async function buildNetwork(plan: NetworkPlan, registry: NamespaceRegistry): Promise<void> {
  const [lan, ...hosts] = namespaceSetups(plan);
  await Promise.all([lan, ...hosts].map((setup) => setup && registry.create(setup.netns)));
  if (lan !== undefined) await setUp(lan);
  await Promise.all(hosts.map(setUp));
}

async function setUp({ netns, sysctls, ip }: NamespaceSetup): Promise<void> {
  const writes = Object.entries(sysctls).map(([name, value]) => `[ ! -e ${name} ] || echo ${value} > ${name}`);
  // /proc/sys/net shows the namespace of whoever looks, so the shell enters it first.
  const script = ['set -e', 'cd /proc/sys/net', ...writes, 'exec ip -batch -'].join('\n');
  await requireCommand(['nsenter', `--net=${netnsPath(netns)}`, 'sh', '-c', script], { input: `${ip.join('\n')}\n` });
}
