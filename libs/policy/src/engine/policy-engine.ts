// SPDX-License-Identifier: Apache-2.0
import { directions } from '@weir/model';
import type { PortMatch } from '../rule.ts';
import { applyUpdate } from './apply-update.ts';
import type { Decision } from './decision.ts';
import type { EnforcementOptions } from './direction-policy.ts';
import { createEngineState, requireSubject, rulesSelecting } from './engine-state.ts';
import type { PolicyAnswer, PolicyEngine, PolicyQuestion } from './engine-types.ts';
import type { ActiveRule } from './policy-repository.ts';

/** The keys that a flow looks up, the most specific first. */
function lookUps({
  peerIdentity,
  protocol,
  port,
}: PolicyQuestion): { readonly match: PortMatch; readonly peer: number }[] {
  const matches = [
    { protocol, port },
    { protocol, port: 0 },
    { protocol: 0, port: 0 },
  ];
  return [peerIdentity, 0].flatMap((peer) => matches.map((match) => ({ match, peer })));
}

/** Combines what a flow has found, as the datapath does. */
function combine(found: readonly Decision[]): PolicyAnswer {
  for (const verdict of ['deny', 'allow', 'redirect'] as const) {
    const first = found.find((decision) => decision.verdict === verdict);
    if (first !== undefined) return first;
  }
  return { verdict: 'no-match', origins: [] };
}

function policyKeys(rules: readonly ActiveRule[]): string[] {
  return [...new Set(rules.map(({ policy }) => policy.key))].sort();
}

/** Makes an engine that knows the reserved identities and no policy. Default: mode `default`, no special local host. */
export function createPolicyEngine(options: Partial<EnforcementOptions> = {}): PolicyEngine {
  const { mode = 'default', allowLocalHost = false } = options;
  const state = createEngineState({ mode, allowLocalHost });
  let revision = 0;

  return {
    get revision() {
      return revision;
    },
    apply(update) {
      const { policiesChanged, subjects } = applyUpdate(state, update);
      if (policiesChanged) revision++;
      return { revision, subjects };
    },
    resolve(id) {
      const subject = state.subjects.get(id);
      if (subject === undefined) return undefined;
      const entries = directions.flatMap((direction) => [...subject[direction].entries()]);
      const { ingress, egress } = subject;
      return { subject: id, ingressEnforced: ingress.isEnforced, egressEnforced: egress.isEnforced, entries };
    },
    decide(question) {
      const policy = requireSubject(state, question.subject)[question.direction];
      if (!policy.isEnforced) return { verdict: 'not-enforced', origins: [] };
      const found = lookUps(question).flatMap(({ match, peer }) => policy.table(match)?.decision(peer) ?? []);
      return combine(found);
    },
    policies: () => state.repository.list(),
    policiesSelecting: (subject) => policyKeys(rulesSelecting(state, requireSubject(state, subject).id)),
    policiesInDefaultDeny(subject, direction) {
      const rules = rulesSelecting(state, requireSubject(state, subject).id);
      return policyKeys(rules.filter(({ rule }) => rule[direction].defaultDeny));
    },
    subjectsOf(policy) {
      const rules = state.repository.rulesOf(policy);
      const ids = new Set(rules.flatMap(({ rule }) => [...(state.rules.find(rule.subject)?.members ?? [])]));
      return [...ids].sort((a, b) => a - b);
    },
  };
}
