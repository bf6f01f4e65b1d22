// SPDX-License-Identifier: Apache-2.0
import { formatProblem, type PolicyProblem } from '@weir/policy';
import type { weir } from '@weir/proto';
import type { AgentClient } from './agent-client.ts';
import { PolicyRefusedError } from './policy-refused-error.ts';

/** A policy document as handed in. */
export interface PolicySource {
  /** As the user named it, for messages. */
  readonly name: string;
  readonly content: Uint8Array;
}

/** What a change of policy did on every node. */
export interface PolicyOutcome {
  /** kind/namespace/name of what was added, replaced or deleted. */
  readonly policies: readonly string[];
}

/** Brings policies into force on all agents, or on none. Returns when every node enforces them. */
export async function applyPolicies(
  agents: readonly AgentClient[],
  files: readonly PolicySource[],
): Promise<PolicyOutcome> {
  // One agent takes all or nothing by itself; of several, all must find nothing wrong before the first one changes.
  if (agents.length > 1) {
    const checks = await Promise.all(
      agents.map((agent) => agent.importPolicy({ files: [...files], validateOnly: true })),
    );
    refuseProblems(checks);
  }
  const responses = await Promise.all(agents.map((agent) => agent.importPolicy({ files: [...files] })));
  refuseProblems(responses);
  return { policies: unique(responses.flatMap(({ imported }) => imported)) };
}

/** What to delete: the policies that files name, or all. */
export type PolicySelection = { readonly files: readonly PolicySource[] } | { readonly all: true };

/** Takes policies out of force on all agents. Returns when no node enforces them any more. */
export async function deletePolicies(
  agents: readonly AgentClient[],
  selection: PolicySelection,
): Promise<PolicyOutcome> {
  const request = 'all' in selection ? { all: true } : { files: [...selection.files] };
  const responses = await Promise.all(agents.map((agent) => agent.deletePolicy(request)));
  refuseProblems(responses);
  return { policies: unique(responses.flatMap(({ deleted }) => deleted)) };
}

interface Answer {
  readonly problems: readonly weir.agent.v1.PolicyProblem.$Properties[];
}

function refuseProblems(answers: readonly Answer[]): void {
  // The agents judge alike; a problem is told once.
  const problems = answers.find((answer) => answer.problems.length > 0)?.problems ?? [];
  if (problems.length > 0) throw refusal(problems.map(policyProblem));
}

const refusal = (problems: readonly PolicyProblem[]): PolicyRefusedError =>
  new PolicyRefusedError(problems.map(formatProblem).join('\n'), problems);

const policyProblem = (problem: weir.agent.v1.PolicyProblem.$Properties): PolicyProblem => ({
  file: problem.file ?? '',
  line: problem.line ?? 0,
  column: problem.column ?? 0,
  path: problem.path ?? '',
  value: problem.value ?? '',
  message: problem.message ?? '',
});

const unique = (values: readonly string[]): string[] => [...new Set(values)].toSorted();
