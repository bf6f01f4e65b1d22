// SPDX-License-Identifier: Apache-2.0
import { isDeepStrictEqual } from 'node:util';
import { WeirError } from '@weir/errors';
import type { ParsedPolicies, Policy, PolicyFile, PolicyProblem } from '@weir/policy';

/** What an owner says there is. */
export interface OwnedPolicies {
  readonly owner: NonNullable<Policy['owner']>;
  /** One policy each. */
  readonly files: readonly PolicyFile[];
  readonly deleteKeys: readonly string[];
}

/** What is to be in force, and what is not. */
export interface PolicyReplacement {
  readonly upsert: readonly Policy[];
  readonly delete: readonly string[];
}

/** Throws when a policy is somebody else's. */
export function refuseOwned(policies: readonly (Policy | undefined)[]): void {
  const owned = policies.find((policy) => policy?.owner !== undefined);
  if (owned === undefined) return;
  const message = `The policy "${owned.key}" belongs to ${owned.owner}; only that may change it`;
  throw new WeirError('FAILED_PRECONDITION', message);
}

const textOf = (problem: PolicyProblem): string =>
  problem.path === '' ? problem.message : `${problem.path}: ${problem.message}`;

/** What an owner's policies come to beside those that are in force. */
export function changeOf(
  { owner, files, deleteKeys }: OwnedPolicies,
  { parsed, known }: { readonly parsed: ParsedPolicies; readonly known: ReadonlyMap<string, Policy> },
): PolicyReplacement & { readonly refused: ReadonlyMap<string, string> } {
  const refused = new Map<string, string>();
  const read = new Map(parsed.policies.map((policy) => [policy.source.file, { ...policy, owner }]));
  for (const { name } of files) {
    const policy = read.get(name);
    const inForce = policy && known.get(policy.key);
    if (policy === undefined) {
      const [problem] = parsed.problems.filter(({ file }) => file === name);
      refused.set(name, problem === undefined ? 'It cannot be read' : textOf(problem));
    } else if (inForce !== undefined && inForce.owner !== owner) {
      refused.set(name, `There is a policy "${policy.key}" that somebody has imported into this node`);
    }
  }
  const upsert = [...read.values()].filter(
    (policy) => !refused.has(policy.source.file) && !isDeepStrictEqual(known.get(policy.key), policy),
  );
  return { refused, upsert, delete: deleteKeys.filter((key) => known.get(key)?.owner === owner) };
}
