// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import { WeirError } from '@weir/errors';
import { grpc } from '@weir/proto';
import { tailOfFile } from '../machine/tail-of-file.ts';
import type { ServiceStatus, SupervisorApi } from '../supervisor/api.ts';
import { componentStatus, createAgentClient, createHealthClient, type AgentClient } from './agent-client.ts';

const { SERVING } = grpc.health.v1.HealthCheckResponse.ServingStatus;
const pollPeriodMs = 50;
const progressPeriodMs = 2_000;

export interface WaitForNode {
  readonly node: string;
  readonly agentSocket: string;
  readonly supervisor: SupervisorApi;
  readonly timeoutMs: number;
  /** How many nodes the agent is to know, itself included. */
  readonly nodeCount: number;
  /** Called every two seconds with what is still missing. */
  readonly onWaiting: (missing: string) => void;
}

// By then it has been started for some seconds, and has never once answered.
const restartsMax = 8;

/**
 * Returns when a node is ready for pods and policies: its agent serves, and every component of it is well, among them the
 * connection to the l7-proxy. TIMEOUT names what is missing, with the end of the log of the process that is to blame; one
 * that ends again and again is not waited for any longer.
 */
export async function waitForNode(wait: WaitForNode): Promise<void> {
  const clients = { agent: createAgentClient(wait.agentSocket), health: createHealthClient(wait.agentSocket) };
  const startedMs = performance.now();
  let nextProgressMs = startedMs + progressPeriodMs;
  try {
    for (;;) {
      const missing = await whatIsMissing(clients, wait.nodeCount);
      if (missing === undefined) return;
      const nowMs = performance.now();
      if (nowMs - startedMs > wait.timeoutMs) {
        throw await notReady(wait, missing, `is not ready after ${wait.timeoutMs} ms`);
      }
      if (nowMs >= nextProgressMs) {
        nextProgressMs += progressPeriodMs;
        const restarts = (await blamed(wait, missing))?.restarts ?? 0;
        if (restarts > restartsMax) throw await notReady(wait, missing, 'does not come up');
        wait.onWaiting(restarts === 0 ? missing.reason : `${missing.reason} (restarted ${restarts} times)`);
      }
      await sleep(pollPeriodMs);
    }
  } finally {
    clients.agent.close();
    clients.health.close();
  }
}

interface Missing {
  readonly service: 'agent' | 'l7-proxy';
  readonly reason: string;
}

const proxyComponent = 'l7-proxy';

async function whatIsMissing(
  clients: { readonly agent: AgentClient; readonly health: ReturnType<typeof createHealthClient> },
  nodeCount: number,
): Promise<Missing | undefined> {
  try {
    const { status } = await clients.health.check({});
    if (status !== SERVING) return { service: 'agent', reason: 'the agent is not serving yet' };
    const answer = await clients.agent.getStatus({}, { deadlineMs: 1_000 });
    const components = answer.components.map(componentStatus);
    const failing = components.find(({ state }) => state === 'Failure');
    if (failing !== undefined) return missingComponent(failing.name, failing.message);
    const proxy = components.find(({ name }) => name === proxyComponent);
    if (proxy?.state !== 'Ok') return missingComponent(proxyComponent, proxy?.message ?? 'not connected');
    if (answer.nodes >= nodeCount) return undefined;
    return { service: 'agent', reason: `the agent knows ${answer.nodes} nodes of ${nodeCount}` };
  } catch (error) {
    const { code, message } = WeirError.from(error);
    return { service: 'agent', reason: code === 'UNAVAILABLE' ? 'the agent does not answer yet' : message };
  }
}

const missingComponent = (name: string, message: string): Missing => ({
  service: name === proxyComponent ? 'l7-proxy' : 'agent',
  reason: `component ${name} of the agent is not well: ${message}`,
});

/** The process to blame for what is missing. */
async function blamed({ node, supervisor }: WaitForNode, { service }: Missing): Promise<ServiceStatus | undefined> {
  const { services } = await supervisor.status();
  return services.find(({ name }) => name === `${node}/${service}`);
}

async function notReady(wait: WaitForNode, missing: Missing, how: string): Promise<WeirError> {
  const service = await blamed(wait, missing);
  const about = service === undefined ? '' : `\n${await describe(service)}`;
  return new WeirError('TIMEOUT', `Node "${wait.node}" ${how}: ${missing.reason}${about}`, {
    details: { node: wait.node, service: service?.name },
  });
}

async function describe({ name, state, restarts, logFile }: ServiceStatus): Promise<string> {
  return `${name} is ${state.kind}, restarted ${restarts} times; the end of ${logFile}:\n${await tailOfFile(logFile)}`;
}
