// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import { WeirError } from '@weir/errors';
import type { AgentClient } from './agent-client.ts';
import type { OpenLab } from './lab-context.ts';
import { withAgents } from './with-agents.ts';

/** A pod as the other nodes are to know it. */
export interface PodIdentity {
  readonly node: string;
  readonly ipv4: string;
  readonly identity: number;
}

const pollPeriodMs = 10;
// A node that has not heard of the pod by then is one that hears nothing; the pod works all the same.
const patienceMs = 3_000;

async function knows(agent: AgentClient, { ipv4, identity }: PodIdentity): Promise<boolean> {
  try {
    const { identities } = await agent.listIdentities({}, { deadlineMs: 1_000 });
    if (!identities.some(({ id }) => id === identity)) return false;
    const { entries } = await agent.listIpcache({}, { deadlineMs: 1_000 });
    return entries.some((entry) => entry.prefix === `${ipv4}/32` && entry.identity === identity);
  } catch (error) {
    // An agent that is not there hears of it later.
    return ['UNAVAILABLE', 'NOT_SUPPORTED'].includes(WeirError.from(error).code);
  }
}

/** Waits until the nodes that a pod is not on know it, so that its first packet is judged there by what it is. */
export async function waitForPeers(lab: OpenLab, pod: PodIdentity): Promise<void> {
  const others = lab.network.nodes.map(({ name }) => name).filter((name) => name !== pod.node);
  if (others.length === 0) return;
  const untilMs = performance.now() + patienceMs;
  await withAgents(
    lab,
    async (agents) => {
      for (const agent of agents) {
        while (performance.now() < untilMs && !(await knows(agent, pod))) await sleep(pollPeriodMs);
      }
    },
    others,
  );
}
