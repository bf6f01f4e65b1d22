// SPDX-License-Identifier: Apache-2.0
import {
  cidrOfLabel,
  formatCidr,
  labelKeyProblem,
  type LabelSource,
  labelValueProblem,
  splitSource,
} from '@weir/model';
import { WeirError } from '@weir/errors';
import { notEnforced } from '../document/not-enforced.ts';
import { descend, fieldPath, fieldPlace, type Place, reportProblem } from '../document/place.ts';
import {
  createReader,
  listReader,
  mapAt,
  objectReader,
  type ObjectSchema,
  type Reader,
  readString,
  refineReader,
  wordReader,
} from '../document/readers.ts';
import { createSelectorSpec, type Requirement, type SelectorOperator, type SelectorSpec } from '../selector-spec.ts';

interface SelectorFields {
  readonly matchLabels?: readonly Requirement[];
  readonly matchExpressions?: readonly Requirement[];
}

interface Key {
  readonly source: LabelSource;
  readonly key: string;
}

interface ExpressionFields {
  readonly key: Key;
  readonly operator: SelectorOperator;
  readonly values?: readonly string[];
}

/** Where the keys of selectors come from: `written`, `[source:]key`; `kubernetes`, keys of Kubernetes as they are. */
export type SelectorDialect = 'written' | 'kubernetes';

/** Takes `[source:]key` apart; without a source, labels of every source count. */
function keyOf(text: string, dialect: SelectorDialect): Key | { readonly problem: string } {
  try {
    const { source, rest } = dialect === 'written' ? splitSource(text, 'any') : { source: 'k8s' as const, rest: text };
    const problem = labelKeyProblem(rest);
    if (problem !== undefined) return { problem };
    if (dialect === 'kubernetes' && rest.includes(':')) {
      return { problem: `"${text}" is not a label key of Kubernetes; it has no source in front` };
    }
    return { source, key: rest };
  } catch (thrown) {
    return { problem: WeirError.from(thrown).message };
  }
}

const readValue: Reader<string> = refineReader(readString, (value, place) => {
  const problem = labelValueProblem(value);
  return problem === undefined ? value : reportProblem(place, problem);
});

/**
 * The requirement as selectors are matched. Those on the source `cidr` are about prefixes: they hold for identities
 * whose prefix lies in theirs, so that only whether there is such a label can be asked.
 */
function canonical(requirement: Requirement, place: Place): Requirement | undefined {
  const { source, key, operator, values } = requirement;
  if (source !== 'cidr') return requirement;
  if (!place.features.has('cidr')) return reportProblem(place, notEnforced('peers by address'));
  const prefix = cidrOfLabel(requirement);
  if (prefix === undefined) return reportProblem(place, `"${key}" is not a prefix (as in cidr:10.0.0.0/8)`);
  if (values.some((value) => value !== '')) {
    return reportProblem(place, `Label "cidr:${key}" has no value; write "" or the operator Exists`);
  }
  const isNegative = operator === 'NotIn' || operator === 'DoesNotExist';
  return { source, key: formatCidr(prefix), operator: isNegative ? 'DoesNotExist' : 'Exists', values: [] };
}

function matchLabelsReader(dialect: SelectorDialect): Reader<readonly Requirement[]> {
  return createReader({ type: 'object', additionalProperties: { type: 'string' } }, (place) => {
    const map = mapAt(place);
    if (map === undefined) return undefined;
    const before = place.sink.problems.count;
    const requirements: Requirement[] = [];
    for (const field of map.node.fields) {
      const at = fieldPlace(place, field);
      const key = keyOf(field.key, dialect);
      const value = readValue(at);
      if ('problem' in key) {
        reportProblem(place, key.problem, { span: field.keySpan, path: at.path, value: field.key });
      } else if (value !== undefined) {
        const requirement = canonical({ ...key, operator: 'In', values: [value] }, at);
        if (requirement !== undefined) requirements.push(requirement);
      }
    }
    return place.sink.problems.count === before ? requirements : undefined;
  });
}

function checkValues(expression: Partial<ExpressionFields>, place: Place): void {
  const { operator, values } = expression;
  if (operator === undefined) return;
  const wantsValues = operator === 'In' || operator === 'NotIn';
  const at = descend(place, ['values']);
  const path = fieldPath(place.path, 'values');
  if (wantsValues && (values?.length === 0 || at === place)) {
    reportProblem(at, `Operator ${operator} needs at least one value`, { path, value: '' });
  } else if (!wantsValues && values !== undefined && values.length > 0) {
    reportProblem(at, `Operator ${operator} takes no values`, { value: values.join(', ') });
  }
}

function expressionSchemaOf(dialect: SelectorDialect): ObjectSchema<ExpressionFields> {
  return {
    fields: {
      key: refineReader(readString, (text, place) => {
        const key = keyOf(text, dialect);
        return 'problem' in key ? reportProblem(place, key.problem) : key;
      }),
      operator: wordReader(['In', 'NotIn', 'Exists', 'DoesNotExist'], 'an operator'),
      values: listReader(readValue),
    },
    required: ['key', 'operator'],
    check: checkValues,
  };
}

/** An item of `matchExpressions`. */
export const expressionSchema = expressionSchemaOf('written');

function selectorSchemaOf(dialect: SelectorDialect): ObjectSchema<SelectorFields> {
  const readExpression = objectReader(dialect === 'written' ? expressionSchema : expressionSchemaOf(dialect));
  const readRequirement = refineReader(readExpression, ({ key, operator, values = [] }, place) =>
    canonical({ ...key, operator, values }, place),
  );
  return { fields: { matchLabels: matchLabelsReader(dialect), matchExpressions: listReader(readRequirement) } };
}

/** A selector as policies write it. */
export const selectorSchema = selectorSchemaOf('written');

/** Makes a reader of label selectors; all parts of one must hold. `{}` selects everything. */
function selectorReader(schema: ObjectSchema<SelectorFields>): Reader<SelectorSpec> {
  return refineReader(objectReader(schema), ({ matchLabels = [], matchExpressions = [] }) =>
    createSelectorSpec([...matchLabels, ...matchExpressions]),
  );
}

/** Reads a selector whose keys may begin with a source. */
export const readSelector = selectorReader(selectorSchema);

/** Reads a selector of Kubernetes, which looks at labels of the source `k8s`. */
export const readKubernetesSelector = selectorReader(selectorSchemaOf('kubernetes'));
