// SPDX-License-Identifier: Apache-2.0
import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { enter, type Place } from '../machine/enter.ts';
import { runCommand, type Argv, type CommandOptions, type CommandResult } from '../machine/run-command.ts';
import type { ServiceStatus } from '../supervisor/api.ts';
import { createAgentClient, type AgentClient } from './agent-client.ts';
import { createLabContext, openLab } from './lab-context.ts';
import { withAgents } from './with-agents.ts';
import { downLab, upLab, type UpOptions, type UpOutcome } from './lab-lifecycle.ts';
import { defaultLabName, type LabPaths } from './lab-paths.ts';
import {
  addPod,
  labelNamespace,
  labelPod,
  listNamespaces,
  listPods,
  removePod,
  type AddPodOptions,
  type LabelChanges,
  type LabNamespace,
  type Pod,
} from './lab-pods.ts';
import { readLabStatus, type LabStatus } from './lab-status.ts';
import {
  applyPolicies,
  deletePolicies,
  type PolicyOutcome,
  type PolicySelection,
  type PolicySource,
} from './policy.ts';
import { placeOf } from './target.ts';

/**
 * Nodes and pods on this machine. A pod is named by `name` or `namespace/name`; a target is a pod, `@node1` or `@world`.
 * Everything but `up` and `down` fails with FAILED_PRECONDITION when the lab is not up.
 */
export interface Lab {
  readonly name: string;
  readonly paths: LabPaths;
  /** Brings the lab up, or finds it up. */
  up(options?: UpOptions): Promise<UpOutcome>;
  /** Removes the lab and all that it has made; false when there was nothing. */
  down(): Promise<boolean>;
  status(): Promise<LabStatus>;

  /** Makes a pod, or leaves nothing behind. */
  addPod(options: AddPodOptions): Promise<Pod>;
  removePod(reference: string): Promise<Pod>;
  /** Returns when the new identity is enforced. */
  labelPod(reference: string, changes: LabelChanges): Promise<Pod>;
  pods(): Promise<readonly Pod[]>;

  /** Returns when what the labels make of the namespace's pods is enforced. */
  labelNamespace(name: string, changes: LabelChanges): Promise<LabNamespace>;
  /** Those that have labels. */
  namespaces(): Promise<readonly LabNamespace[]>;

  /** Runs a command on a target to its end, whatever its exit status. */
  exec(target: string, command: Argv, options?: CommandOptions): Promise<CommandResult>;
  /** Starts a command on a target; it ends with its pod, or with the lab. */
  spawn(target: string, command: Argv, options?: SpawnOptions): Promise<ChildProcess>;
  /** Where commands of a target run. */
  place(target: string): Promise<Place>;

  /** All or nothing on all nodes; PolicyRefusedError has the problems. Returns when every node enforces them. */
  applyPolicy(files: readonly PolicySource[]): Promise<PolicyOutcome>;
  deletePolicy(selection: PolicySelection): Promise<PolicyOutcome>;

  /** The processes of the lab: `identity-allocator`, `node1/agent`, `node1/l7-proxy` … */
  services(): Promise<readonly ServiceStatus[]>;
  /** Ends a process and keeps it down; SIGTERM by default. */
  stopService(name: string, signal?: NodeJS.Signals): Promise<ServiceStatus>;
  startService(name: string): Promise<ServiceStatus>;
  /** The API of a node's agent, of the first node by default; whoever asks closes it. */
  agent(node?: string): AgentClient;
}

/** Gives access to a lab by its name, `weir` by default, whether it is up or not. */
export function createLab(options: { readonly name?: string } = {}): Lab {
  const context = createLabContext(options.name ?? defaultLabName);
  const open = (): ReturnType<typeof openLab> => openLab(context);
  const { paths, supervisor } = context;

  const place = (target: string): Promise<Place> => placeOf(context, target);

  return {
    name: paths.name,
    paths,
    up: (upOptions = {}) => upLab(context, upOptions),
    down: () => downLab(context),
    status: async () => readLabStatus(await open()),
    addPod: async (pod) => addPod(await open(), pod),
    removePod: async (reference) => removePod(await open(), reference),
    labelPod: async (reference, changes) => labelPod(await open(), reference, changes),
    pods: async () => listPods(await open()),
    labelNamespace: async (name, changes) => labelNamespace(await open(), name, changes),
    namespaces: async () => listNamespaces(await open()),
    place,
    exec: async (target, command, execOptions) => runCommand(enter(await place(target), command), execOptions),
    async spawn(target, command, spawnOptions = {}) {
      const [file, ...args] = enter(await place(target), command);
      return spawn(file, args, spawnOptions);
    },
    applyPolicy: async (files) => withAgents(await open(), (agents) => applyPolicies(agents, files)),
    deletePolicy: async (selection) => withAgents(await open(), (agents) => deletePolicies(agents, selection)),
    async services() {
      await open();
      return (await supervisor.status()).services;
    },
    stopService: (name, signal = 'SIGTERM') => supervisor.stopService({ name, signal }),
    startService: (name) => supervisor.startService({ name }),
    agent: (node = 'node1') => createAgentClient(paths.node(node).agentSocket),
  };
}
