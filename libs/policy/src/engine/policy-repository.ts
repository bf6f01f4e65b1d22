// SPDX-License-Identifier: Apache-2.0
import type { Direction } from '@weir/model';
import type { Grant, Policy, Rule } from '../rule.ts';
import type { ActiveGrant } from './decision.ts';
import type { Contribution } from './direction-policy.ts';

/** A rule at work in an engine. */
export interface ActiveRule {
  readonly policy: Policy;
  /** Position in its policy. */
  readonly index: number;
  readonly rule: Rule;
  readonly contribution: Readonly<Record<Direction, Contribution>>;
}

/** The policies of an engine by key. */
export interface PolicyRepository {
  get(key: string): Policy | undefined;
  /** In the order in which their keys first came. */
  list(): Policy[];
  rulesOf(key: string): readonly ActiveRule[];
  /** Adds or replaces a policy and gives its rules. */
  put(policy: Policy): readonly ActiveRule[];
  delete(key: string): void;
}

/** Makes an empty repository. */
export function createPolicyRepository(): PolicyRepository {
  const policies = new Map<string, { readonly policy: Policy; readonly rules: readonly ActiveRule[] }>();
  let lastGrantId = 0;

  const activeGrant = (grant: Grant, at: { policy: Policy; index: number; direction: Direction }): ActiveGrant => ({
    id: ++lastGrantId,
    verdict: grant.verdict,
    peers: grant.peers,
    ports: grant.ports,
    ...(grant.http !== undefined && { http: grant.http }),
    origin: {
      policy: at.policy.key,
      rule: at.index,
      direction: at.direction,
      path: grant.path,
      line: grant.line,
    },
  });

  const activeRule = (policy: Policy, rule: Rule, index: number): ActiveRule => {
    const contribution = (direction: Direction): Contribution => ({
      defaultDeny: rule[direction].defaultDeny,
      grants: rule[direction].grants.map((grant) => activeGrant(grant, { policy, index, direction })),
    });
    const byDirection = { ingress: contribution('ingress'), egress: contribution('egress') };
    return { policy, index, rule, contribution: byDirection };
  };

  return {
    get: (key) => policies.get(key)?.policy,
    list: () => [...policies.values()].map(({ policy }) => policy),
    rulesOf: (key) => policies.get(key)?.rules ?? [],
    put(policy) {
      const rules = policy.rules.map((rule, index) => activeRule(policy, rule, index));
      policies.set(policy.key, { policy, rules });
      return rules;
    },
    delete: (key) => void policies.delete(key),
  };
}
