// SPDX-License-Identifier: Apache-2.0
import { accessSync, constants, existsSync, globSync } from 'node:fs';
import { WeirError } from '@weir/errors';
import { AgentServiceDefinition, ServiceServiceDefinition } from '@weir/proto';
import { createRpcClient, type RpcClient } from '@weir/rpc';
import type { Command } from 'commander';

/** Calls to the agent of this node. */
export type Agent = RpcClient<typeof AgentServiceDefinition>;

/** Calls to its load balancing. */
export type Services = RpcClient<typeof ServiceServiceDefinition>;

/** Where an agent listens unless it is told otherwise. */
export const defaultAddress = 'unix:/run/weir/agent.sock';

const labSockets = '/run/weir-lab/*/*/run/agent.sock';

const canUse = (path: string): boolean => {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
};

/** An agent that cannot be reached may be somewhere else: a lab has one for each of its nodes. */
function explain(error: WeirError, address: string): WeirError {
  if (error.code !== 'UNAVAILABLE') return error;
  const [, path] = /^unix:(.*)$/.exec(address) ?? [];
  if (path !== undefined && existsSync(path) && !canUse(path)) {
    const message = `The agent's socket "${path}" is not open to this user; try again as root`;
    return new WeirError('PERMISSION_DENIED', message, { cause: error });
  }
  const [lab] = address === defaultAddress ? globSync(labSockets) : [];
  const hint = lab === undefined ? 'is the agent running?' : `for the lab's, set WEIR_ADDRESS=unix:${lab}`;
  return new WeirError('UNAVAILABLE', `No agent listens at ${address}; ${hint}`, { cause: error });
}

const addressOf = (command: Command): string => command.optsWithGlobals<{ address: string }>().address;

async function withClient<Client extends { close(): void }, Result>(
  { client, address }: { readonly client: Client; readonly address: string },
  task: (client: Client) => Promise<Result>,
): Promise<Result> {
  try {
    return await task(client);
  } catch (error) {
    throw explain(WeirError.from(error), address);
  } finally {
    client.close();
  }
}

/** Runs `task` with the agent that `command` is about, and closes the connection. */
export function withAgent<Result>(command: Command, task: (agent: Agent) => Promise<Result>): Promise<Result> {
  const address = addressOf(command);
  return withClient(
    { client: createRpcClient(AgentServiceDefinition, { address, deadlineMs: 30_000 }), address },
    task,
  );
}

/** The same with the agent's load balancing. */
export function withServices<Result>(command: Command, task: (services: Services) => Promise<Result>): Promise<Result> {
  const address = addressOf(command);
  return withClient(
    { client: createRpcClient(ServiceServiceDefinition, { address, deadlineMs: 30_000 }), address },
    task,
  );
}
