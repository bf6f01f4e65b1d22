// SPDX-License-Identifier: Apache-2.0
import { directions } from '@weir/model';
import { explainFlow } from '../explain/explain-flow.ts';
import { applyUpdate } from './apply-update.ts';
import { resolvePortName } from './direction-policy.ts';
import {
  createEngineState,
  enforcementOf,
  type EngineOptions,
  type EngineState,
  requireSubject,
  rulesFor,
  rulesSelecting,
} from './engine-state.ts';
import type { PolicyEngine, UnknownPortName } from './engine-types.ts';
import { judgeFlow } from './look-up.ts';
import type { ActiveRule } from './policy-repository.ts';
import { selectorUses } from './selector-uses.ts';

function policyKeys(rules: readonly ActiveRule[]): string[] {
  return [...new Set(rules.map(({ policy }) => policy.key))].sort();
}

const ascending = (numbers: Iterable<number>): number[] => [...numbers].sort((a, b) => a - b);

/** The names that the items of a rule use and that stand for nothing. */
function unknownNames(state: EngineState, active: ActiveRule): UnknownPortName[] {
  const subjects = ascending(rulesFor(state, active.rule).find(active.rule.subject)?.members ?? []);
  return directions.flatMap((direction) =>
    active.rule[direction].grants.flatMap(({ namedPorts = [], path, line }) =>
      namedPorts.flatMap((wanted): UnknownPortName[] => {
        const origin = { policy: active.policy.key, rule: active.index, direction, path, line };
        if (direction === 'egress') {
          const isUnknown = state.references.portsNamed(wanted).length === 0;
          return isUnknown ? [{ name: wanted.name, origin, subjects: [] }] : [];
        }
        const lacking = subjects.filter((id) => {
          const { namedPorts: named } = requireSubject(state, id)[direction];
          return resolvePortName(wanted, named).length === 0;
        });
        return lacking.length === 0 ? [] : [{ name: wanted.name, origin, subjects: lacking }];
      }),
    ),
  );
}

/**
 * Makes an engine that knows the reserved identities and no policy. Default: mode `default`, no special local host, and
 * nothing of a datapath that is not there everywhere.
 */
export function createPolicyEngine(options: Partial<EngineOptions> = {}): PolicyEngine {
  const { mode = 'default', allowLocalHost = false, defaultAllow = false, clusterPeer } = options;
  const state = createEngineState({ mode, allowLocalHost, defaultAllow, ...(clusterPeer && { clusterPeer }) });
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
      return { subject: id, ...enforcementOf(subject), entries };
    },
    decide: (question) => judgeFlow(requireSubject(state, question.subject)[question.direction], question),
    explain: (question) => explainFlow(state, question),
    policies: () => state.repository.list(),
    policiesSelecting: (subject) => policyKeys(rulesSelecting(state, requireSubject(state, subject))),
    policiesInDefaultDeny(subject, direction) {
      const rules = rulesSelecting(state, requireSubject(state, subject));
      return policyKeys(rules.filter(({ rule }) => rule[direction].defaultDeny));
    },
    subjectsOf(policy) {
      const rules = state.repository.rulesOf(policy);
      return ascending(
        new Set(rules.flatMap(({ rule }) => [...(rulesFor(state, rule).find(rule.subject)?.members ?? [])])),
      );
    },
    selectors: () => selectorUses(state),
    unknownPortNames: () =>
      state.repository
        .list()
        .flatMap(({ key }) => state.repository.rulesOf(key))
        .flatMap((rule) => unknownNames(state, rule)),
  };
}
