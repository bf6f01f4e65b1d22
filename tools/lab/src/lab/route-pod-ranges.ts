// SPDX-License-Identifier: Apache-2.0
import { netnsPath } from '../machine/network-namespace.ts';
import { requireCommand } from '../machine/run-command.ts';
import type { OpenLab } from './lab-context.ts';
import { withAgents } from './with-agents.ts';

/** Tells the host outside the cluster where the pod ranges are that operators have given. */
export async function routePodRanges(lab: OpenLab): Promise<void> {
  const { nodes, world } = lab.network;
  const statuses = await withAgents(lab, (agents) => Promise.all(agents.map((agent) => agent.getStatus({}))));
  const lines = statuses.flatMap(({ ipv4Range, ipv6Range }, index) => {
    const address = nodes[index]?.address;
    return address === undefined
      ? []
      : [`route replace ${ipv4Range} via ${address.ipv4}`, `route replace ${ipv6Range} via ${address.ipv6}`];
  });
  const input = `${lines.join('\n')}\n`;
  await requireCommand(['nsenter', `--net=${netnsPath(world.netns)}`, 'ip', '-batch', '-'], { input });
}
