// SPDX-License-Identifier: Apache-2.0
import { AgentServiceDefinition, HealthDefinition, type weir } from '@weir/proto';
import { createRpcClient, type RpcClient } from '@weir/rpc';

/** The API of a node's agent. */
export type AgentClient = RpcClient<typeof AgentServiceDefinition>;

/** Calls the agent that listens on a unix socket. Enforcing a policy may take a while, hence the long deadline. */
export function createAgentClient(socketPath: string): AgentClient {
  return createRpcClient(AgentServiceDefinition, { address: `unix:${socketPath}`, deadlineMs: 30_000 });
}

/** The standard health service of the same agent. */
export function createHealthClient(socketPath: string): RpcClient<typeof HealthDefinition> {
  return createRpcClient(HealthDefinition, { address: `unix:${socketPath}`, deadlineMs: 1_000 });
}

/** How a part of an agent is. */
export interface ComponentStatus {
  readonly name: string;
  /** Ok, Warning or Failure. */
  readonly state: string;
  readonly message: string;
}

/** The status of one component in the words of the lab. */
export const componentStatus = (component: weir.agent.v1.ComponentStatus.$Properties): ComponentStatus => ({
  name: component.name ?? '',
  state: component.state ?? '',
  message: component.message ?? '',
});
