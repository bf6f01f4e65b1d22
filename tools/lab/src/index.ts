// SPDX-License-Identifier: Apache-2.0
// Nodes and pods on one machine, made of network namespaces, for tests, benchmarks, the demo and a user's experiments. It
// starts Weir's own programs as they are built; it knows nothing of how they do their work.
export { createLab, type Lab } from './lab/lab.ts';
export { findStoreProgram, type LabStore } from './lab/store-program.ts';
export type { UpOptions, UpOutcome } from './lab/lab-lifecycle.ts';
export type { AddPodOptions, LabelChanges, LabNamespace, Pod } from './lab/lab-pods.ts';
export type { LabStatus, NodeStatus } from './lab/lab-status.ts';
export type { AgentClient, ComponentStatus } from './lab/agent-client.ts';
export type { PolicyOutcome, PolicySelection, PolicySource } from './lab/policy.ts';
export { PolicyRefusedError } from './lab/policy-refused-error.ts';
export { readPolicyFiles } from './lab/read-policy-files.ts';
export type { ServiceStatus } from './supervisor/api.ts';
export type { Place } from './machine/enter.ts';

// For tests and benchmarks that measure or break single steps.
export { cniAdd, cniCheck, cniDelete, type CniCall, type CniResult } from './pods/cni-plugin.ts';
export {
  runCommand,
  requireCommand,
  type Argv,
  type CommandOptions,
  type CommandResult,
} from './machine/run-command.ts';
export { netnsPath } from './machine/network-namespace.ts';
