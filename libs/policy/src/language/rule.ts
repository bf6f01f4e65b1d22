// SPDX-License-Identifier: Apache-2.0
import {
  createLabel,
  type Direction,
  directions,
  formatLabel,
  isLabelSource,
  labelSources,
  parseLabel,
} from '@weir/model';
import { WeirError } from '@weir/errors';
import { policyLimits } from '../limits.ts';
import { notEnforced } from '../document/not-enforced.ts';
import { descend, fieldPath, fieldPlace, type Place, placeLine, reportProblem } from '../document/place.ts';
import {
  createReader,
  listReader,
  mapAt,
  objectReader,
  type ObjectSchema,
  readBoolean,
  type Reader,
  readString,
  textReader,
} from '../document/readers.ts';
import type { Rule, RuleSection } from '../rule.ts';
import { type SelectorSpec, wildcardSelector } from '../selector-spec.ts';
import { itemGrants, requiredPeer, type RuleContext } from './item-grants.ts';
import { type PolicyScope, scopeSubject } from './scope.ts';
import { type ReadItem, readSections } from './section.ts';
import { readSelector } from './selector.ts';

type DefaultDenyFields = { readonly [D in Direction]?: boolean };

interface RuleFields {
  readonly endpointSelector?: SelectorSpec;
  readonly nodeSelector?: SelectorSpec;
  readonly ingress?: readonly ReadItem[];
  readonly ingressDeny?: readonly ReadItem[];
  readonly egress?: readonly ReadItem[];
  readonly egressDeny?: readonly ReadItem[];
  readonly enableDefaultDeny?: DefaultDenyFields;
  readonly labels?: readonly string[];
  readonly description?: string;
}

interface RuleLabelFields {
  readonly key: string;
  readonly value?: string;
  readonly source?: string;
}

/** A rule's label when it is written as an object. */
export const ruleLabelSchema: ObjectSchema<RuleLabelFields> = {
  fields: { key: readString, value: readString, source: readString },
  required: ['key'],
};

const readLabelFields = objectReader(ruleLabelSchema);

const ruleLabelOf = (place: Place): string | undefined => {
  const written = place.node.kind === 'map' ? readLabelFields(place) : readString(place);
  if (written === undefined) return undefined;
  try {
    if (typeof written === 'string') return formatLabel(parseLabel(written));
    const { key, value = '', source = '' } = written;
    if (source !== '' && !isLabelSource(source)) {
      return reportProblem(
        descend(place, ['source']),
        `"${source}" is not a label source (one of ${labelSources.join(', ')})`,
      );
    }
    return formatLabel(createLabel({ source: source === '' ? 'unspec' : source, key, value }));
  } catch (thrown) {
    return reportProblem(place, WeirError.from(thrown).message);
  }
};

// Kubernetes has no name for "a string or a mapping".
const readRuleLabel: Reader<string> = createReader({ 'x-kubernetes-preserve-unknown-fields': true }, ruleLabelOf);

/** `enableDefaultDeny`. */
export const defaultDenySchema: ObjectSchema<DefaultDenyFields> = {
  fields: { ingress: readBoolean, egress: readBoolean },
};

const hasHttp = (items: readonly ReadItem[] | undefined): boolean =>
  items?.some(({ item }) => item.toPorts?.some((port) => port.rules?.http?.length)) ?? false;

/**
 * A redirect counts only where the default is to deny, unless the datapath knows another default: otherwise an allowance
 * of everything else would cover the requests that the rule wants looked at.
 */
function checkDefaultDeny(rule: Partial<RuleFields>, place: Place): void {
  if (place.features.has('defaultAllow')) return;
  for (const direction of directions) {
    if (rule.enableDefaultDeny?.[direction] !== false || !hasHttp(rule[direction])) continue;
    const at = descend(place, ['enableDefaultDeny', direction]);
    reportProblem(at, notEnforced(`default deny turned off beside HTTP rules for ${direction}`));
  }
}

function checkSubject(place: Place): void {
  if (place.node.kind !== 'map') return;
  const selectors = place.node.fields.filter(({ key }) => key === 'endpointSelector' || key === 'nodeSelector');
  const [first, second] = selectors;
  if (first === undefined) {
    const path = fieldPath(place.path, 'endpointSelector');
    reportProblem(place, 'Field "endpointSelector" is missing; {} selects every endpoint', { path, value: '' });
  } else if (second !== undefined && place.features.has('hostPolicy')) {
    reportProblem(fieldPlace(place, second), `Only one of ${first.key}, ${second.key} may be in one rule`, {
      span: second.keySpan,
    });
  }
}

/** A rule: the `spec` of a policy object, an item of `specs` or of a rule list. */
export const ruleSchema: ObjectSchema<RuleFields> = {
  fields: {
    endpointSelector: readSelector,
    nodeSelector: readSelector,
    ...readSections,
    enableDefaultDeny: objectReader(defaultDenySchema),
    labels: listReader(readRuleLabel),
    description: textReader(policyLimits.descriptionCharactersMax),
  },
  needs: { nodeSelector: { feature: 'hostPolicy', what: 'policies for nodes' } },
  refused: { log: notEnforced('text for the log of flows') },
  constraints: { anyOf: [{ required: ['endpointSelector'] }, { required: ['nodeSelector'] }] },
  check(rule, place) {
    checkSubject(place);
    checkDefaultDeny(rule, place);
  },
};

const readFields = objectReader(ruleSchema);

function ruleSection(fields: RuleFields, direction: Direction, context: RuleContext): RuleSection {
  const allowing = fields[direction] ?? [];
  const denying = (direction === 'ingress' ? fields.ingressDeny : fields.egressDeny) ?? [];
  const items = [...allowing, ...denying];
  const required = requiredPeer(allowing, context);
  const requiredOfDenied = requiredPeer(denying, context);
  return {
    defaultDeny: fields.enableDefaultDeny?.[direction] ?? items.length > 0,
    grants: items.flatMap((item) => itemGrants(item, context)),
    ...(required && { required }),
    ...(requiredOfDenied && { requiredOfDenied }),
  };
}

/** What a rule inherits from the policy that it is part of. */
export interface RuleOrigin {
  readonly scope: PolicyScope;
  /** Value of the cluster label of local endpoints. */
  readonly clusterName: string;
  /** Labels that say where the rule comes from. */
  readonly labels: readonly string[];
}

/** Reports what a policy for nodes cannot have. */
function checkNodeRule(fields: RuleFields, place: Place, scope: PolicyScope): void {
  if (fields.nodeSelector === undefined) return;
  if (scope.kind !== 'cluster') {
    const message = 'Nodes are selected by policies of the kind CiliumClusterwideNetworkPolicy only';
    reportProblem(descend(place, ['nodeSelector']), message);
  }
  for (const direction of directions) {
    const message = notEnforced('HTTP rules of policies for nodes');
    if (hasHttp(fields[direction])) reportProblem(descend(place, [direction]), message);
  }
}

function subjectOf(fields: RuleFields, place: Place, scope: PolicyScope): SelectorSpec {
  if (fields.nodeSelector !== undefined) return fields.nodeSelector;
  const { selector, overridden } = scopeSubject(fields.endpointSelector ?? wildcardSelector, scope);
  if (overridden !== undefined && scope.kind === 'namespace') {
    const at = descend(place, ['endpointSelector']);
    const message = `Namespace "${overridden}" is overridden: the policy selects in its own, "${scope.namespace}"`;
    reportProblem(at, message, { severity: 'warning', value: overridden });
  }
  return selector;
}

/** Warns of rules that say nothing. */
export function checkEffect(rule: Rule, place: Place): void {
  const hasEffect = directions.some((direction) => {
    const { defaultDeny, grants, required, requiredOfDenied } = rule[direction];
    return defaultDeny || grants.length > 0 || required !== undefined || requiredOfDenied !== undefined;
  });
  if (hasEffect) return;
  const message = 'Rule has no effect: it neither allows nor denies anything, in no direction';
  reportProblem(place, message, { severity: 'warning' });
}

/** Makes a reader of rules that applies the defaults and the scope of a policy. */
export function ruleReader(origin: RuleOrigin): Reader<Rule> {
  const { scope, clusterName } = origin;
  return createReader(readFields.schema, (place) => {
    const before = place.sink.problems.count;
    const fields = mapAt(place, 'a rule') === undefined ? undefined : readFields(place);
    if (fields === undefined) return undefined;
    checkNodeRule(fields, place, scope);
    if (place.sink.problems.count > before) return undefined;
    const subject = subjectOf(fields, place, scope);
    const context = { scope, clusterName, subject };
    const rule: Rule = {
      subject,
      ...(fields.nodeSelector !== undefined && { appliesTo: 'nodes' }),
      labels: [...new Set([...origin.labels, ...(fields.labels ?? [])])].sort(),
      ...(fields.description !== undefined && { description: fields.description }),
      lines: { first: placeLine(place, 'first'), last: placeLine(place, 'last') },
      ingress: ruleSection(fields, 'ingress', context),
      egress: ruleSection(fields, 'egress', context),
    };
    checkEffect(rule, place);
    return rule;
  });
}
