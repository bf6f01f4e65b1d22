// SPDX-License-Identifier: Apache-2.0
import type { Direction } from '@weir/model';
import type { Grant, Policy, PortMatch, Rule } from '../rule.ts';
import { createSelectorSpec, wildcardSelector } from '../selector-spec.ts';
import type { ActiveGrant } from './decision.ts';
import type { Contribution } from './direction-policy.ts';
import { hasNamedPort, type References, type RuleReferences } from './references.ts';

/** A rule at work in an engine. */
export interface ActiveRule {
  readonly policy: Policy;
  /** Position in its policy. */
  readonly index: number;
  readonly rule: Rule;
  readonly contribution: Readonly<Record<Direction, Contribution>>;
  /** Absent for rules that refer to nothing. */
  readonly references?: RuleReferences;
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
  /** Rules of which something they refer to has changed. */
  outdated(): readonly ActiveRule[];
  /** Takes a rule to what it refers to now, and gives the rule that stands in its place. */
  renew(rule: ActiveRule): ActiveRule;
}

interface Origin {
  readonly policy: Policy;
  readonly index: number;
  readonly direction: Direction;
}

const exactPort = ({ protocol, port }: { protocol: number; port: number }): PortMatch => ({
  protocol,
  port,
  prefixLength: 16,
});

function referencesOf(rule: Rule): RuleReferences | undefined {
  const grants = [...rule.ingress.grants, ...rule.egress.grants];
  const services = grants.flatMap((grant) => grant.services ?? []);
  // What a name means in an ingress rule is the subject's business, and no other rule's.
  const portNames = rule.egress.grants.flatMap(({ namedPorts = [] }) => namedPorts.map(({ name }) => name));
  return services.length + portNames.length === 0 ? undefined : { services, portNames };
}

/** Makes an empty repository. */
export function createPolicyRepository(references: References): PolicyRepository {
  const policies = new Map<string, { readonly policy: Policy; readonly rules: ActiveRule[] }>();
  const referring = new Set<ActiveRule>();
  let lastGrantId = 0;

  /** A grant of an egress rule for each port that its names stand for, to those peers that give it the name. */
  function grantsByName(grant: ActiveGrant): ActiveGrant[] {
    const { peers, namedPorts = [] } = grant;
    const named = namedPorts.flatMap((wanted) => references.portsNamed(wanted));
    return named.map((port) => ({
      ...grant,
      id: ++lastGrantId,
      ports: [exactPort(port)],
      peers: (peers === 'any' ? [wildcardSelector] : peers).map((peer) =>
        createSelectorSpec([...peer.requirements, hasNamedPort(port)]),
      ),
    }));
  }

  function activeGrants(grant: Grant, { policy, index, direction }: Origin): ActiveGrant[] {
    const { verdict, ports, namedPorts, http, path, line } = grant;
    const behindServices = (grant.services ?? []).flatMap((match) => references.peersOf(match));
    const peers = grant.peers === 'any' ? grant.peers : [...grant.peers, ...behindServices];
    const common: ActiveGrant = {
      id: ++lastGrantId,
      verdict,
      peers,
      ports,
      ...(http !== undefined && { http }),
      origin: { policy: policy.key, rule: index, direction, path, line },
    };
    if (namedPorts === undefined) return [common];
    const named: ActiveGrant = { ...common, namedPorts };
    if (direction === 'ingress') return [named];
    return [common, ...grantsByName(named)].map(({ namedPorts: _resolved, ...resolved }) => resolved);
  }

  function activeRule(policy: Policy, rule: Rule, index: number): ActiveRule {
    const contribution = (direction: Direction): Contribution => {
      const { defaultDeny, grants, required, requiredOfDenied } = rule[direction];
      const active = grants.flatMap((grant) => activeGrants(grant, { policy, index, direction }));
      return { defaultDeny, grants: active, required, requiredOfDenied };
    };
    const byDirection = { ingress: contribution('ingress'), egress: contribution('egress') };
    const uses = referencesOf(rule);
    const made = { policy, index, rule, contribution: byDirection, ...(uses !== undefined && { references: uses }) };
    if (uses !== undefined) referring.add(made);
    return made;
  }

  const rulesOf = (key: string): readonly ActiveRule[] => policies.get(key)?.rules ?? [];

  return {
    get: (key) => policies.get(key)?.policy,
    list: () => [...policies.values()].map(({ policy }) => policy),
    rulesOf,
    put(policy) {
      for (const rule of rulesOf(policy.key)) referring.delete(rule);
      const rules = policy.rules.map((rule, index) => activeRule(policy, rule, index));
      policies.set(policy.key, { policy, rules });
      return rules;
    },
    delete(key) {
      for (const rule of rulesOf(key)) referring.delete(rule);
      policies.delete(key);
    },
    outdated: () => [...referring].filter(({ references: uses }) => uses !== undefined && references.hasChanged(uses)),
    renew(rule) {
      referring.delete(rule);
      const renewed = activeRule(rule.policy, rule.rule, rule.index);
      const rules = policies.get(rule.policy.key)?.rules;
      if (rules !== undefined) rules[rule.index] = renewed;
      return renewed;
    },
  };
}
