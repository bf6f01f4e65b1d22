// SPDX-License-Identifier: Apache-2.0
import { allFeatures, type PolicyFeature } from '../feature.ts';
import { type ParsedPolicies, parsePolicyFiles } from '../parse-policy-files.ts';
import { formatProblem } from '../problem.ts';
import type { Policy } from '../rule.ts';

/** Reads one file called `policy.yaml`, by default as if everything could be enforced. */
export const parse = (content: string | Uint8Array, supports: Iterable<PolicyFeature> = allFeatures): ParsedPolicies =>
  parsePolicyFiles([{ name: 'policy.yaml', content }], { supports });

/** The problems of one file, each on a line. */
export const problemsOf = (content: string | Uint8Array, supports?: Iterable<PolicyFeature>): string[] =>
  parse(content, supports).problems.map(formatProblem);

/** The warnings of one file, each on a line. */
export const warningsOf = (content: string): string[] => parse(content).warnings.map(formatProblem);

/** A policy `p` around the fields of its rule, which stand in line 3. */
export const withSpec = (fields: string): string =>
  `{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: p},\nspec: {\n${fields}\n}}`;

/** The problems of a rule. */
export const specProblems = (fields: string, supports?: Iterable<PolicyFeature>): string[] =>
  problemsOf(withSpec(fields), supports);

/** The one policy of a file that has no problem. */
export function onlyPolicy(content: string): Policy {
  const { policies, problems } = parse(content);
  expect(problems.map(formatProblem)).toEqual([]);
  expect(policies).toHaveLength(1);
  return policies[0]!;
}
