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
import { descend, fieldPath, type Place, placeLine, reportProblem } from '../document/place.ts';
import {
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
import type { SelectorSpec } from '../selector-spec.ts';
import { notEnforced } from './not-enforced.ts';
import { type PolicyScope, scopeSubject } from './scope.ts';
import { itemGrants, type ReadItem, readSections, type RuleContext } from './section.ts';
import { readSelector } from './selector.ts';

type DefaultDenyFields = { readonly [D in Direction]?: boolean };

interface RuleFields {
  readonly endpointSelector: SelectorSpec;
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

const readRuleLabel: Reader<string> = (place) => {
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

/** `enableDefaultDeny`. */
export const defaultDenySchema: ObjectSchema<DefaultDenyFields> = {
  fields: { ingress: readBoolean, egress: readBoolean },
};

/**
 * A redirect counts only where the default is to deny: in the datapath an allowance of everything else would cover the
 * requests that the rule wants looked at.
 */
function checkDefaultDeny(rule: Partial<RuleFields>, place: Place): void {
  for (const direction of directions) {
    const hasHttp = rule[direction]?.some(({ item }) => item.toPorts?.some((port) => port.rules?.http?.length));
    if (rule.enableDefaultDeny?.[direction] !== false || !hasHttp) continue;
    const at = descend(place, ['enableDefaultDeny', direction]);
    reportProblem(at, notEnforced(`default deny turned off beside HTTP rules for ${direction}`));
  }
}

/** A rule: the `spec` of a policy object, an item of `specs` or of a rule list. */
export const ruleSchema: ObjectSchema<RuleFields> = {
  fields: {
    endpointSelector: readSelector,
    ...readSections,
    enableDefaultDeny: objectReader(defaultDenySchema),
    labels: listReader(readRuleLabel),
    description: textReader(policyLimits.descriptionCharactersMax),
  },
  refused: { nodeSelector: notEnforced('policies for nodes'), log: notEnforced('text for the log of flows') },
  check(rule, place) {
    const isSelected = place.node.fields.some(({ key }) => key === 'endpointSelector' || key === 'nodeSelector');
    if (!isSelected) {
      const path = fieldPath(place.path, 'endpointSelector');
      reportProblem(place, 'Field "endpointSelector" is missing; {} selects every endpoint', { path, value: '' });
    }
    checkDefaultDeny(rule, place);
  },
};

const readFields = objectReader(ruleSchema);

function ruleSection(fields: RuleFields, direction: Direction, context: RuleContext): RuleSection {
  const items = [
    ...(fields[direction] ?? []),
    ...((direction === 'ingress' ? fields.ingressDeny : fields.egressDeny) ?? []),
  ];
  return {
    defaultDeny: fields.enableDefaultDeny?.[direction] ?? items.length > 0,
    grants: items.flatMap((item) => itemGrants(item, context)),
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

/** Makes a reader of rules that applies the defaults and the scope of a policy. */
export function ruleReader(origin: RuleOrigin): Reader<Rule> {
  return (place) => {
    const fields = mapAt(place, 'a rule') === undefined ? undefined : readFields(place);
    if (fields === undefined) return undefined;
    const { selector: subject, overridden } = scopeSubject(fields.endpointSelector, origin.scope);
    if (overridden !== undefined && origin.scope.kind === 'namespace') {
      const at = descend(place, ['endpointSelector']);
      const message = `Namespace "${overridden}" is overridden: the policy selects in its own, "${origin.scope.namespace}"`;
      reportProblem(at, message, { severity: 'warning', value: overridden });
    }
    const context = { scope: origin.scope, clusterName: origin.clusterName, subject };
    const rule: Rule = {
      subject,
      labels: [...new Set([...origin.labels, ...(fields.labels ?? [])])].sort(),
      ...(fields.description !== undefined && { description: fields.description }),
      lines: { first: placeLine(place, 'first'), last: placeLine(place, 'last') },
      ingress: ruleSection(fields, 'ingress', context),
      egress: ruleSection(fields, 'egress', context),
    };
    const hasEffect = directions.some((direction) => rule[direction].defaultDeny || rule[direction].grants.length > 0);
    if (!hasEffect) {
      reportProblem(place, 'Rule has no effect: it neither allows nor denies anything, in no direction', {
        severity: 'warning',
      });
    }
    return rule;
  };
}
