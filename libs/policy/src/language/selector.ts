// SPDX-License-Identifier: Apache-2.0
import { labelKeyProblem, type LabelSource, labelValueProblem, splitSource } from '@weir/model';
import { WeirError } from '@weir/errors';
import { descend, fieldPath, fieldPlace, type Place, reportProblem } from '../document/place.ts';
import {
  listReader,
  mapAt,
  objectReader,
  type ObjectSchema,
  type Reader,
  readString,
  wordReader,
} from '../document/readers.ts';
import { createSelectorSpec, type Requirement, type SelectorOperator, type SelectorSpec } from '../selector-spec.ts';

interface SelectorFields {
  readonly matchLabels?: readonly Requirement[];
  readonly matchExpressions?: readonly Requirement[];
}

interface ExpressionFields {
  readonly key: { readonly source: LabelSource; readonly key: string };
  readonly operator: SelectorOperator;
  readonly values?: readonly string[];
}

/** Takes `[source:]key` apart; without a source, labels of every source count. */
function selectorKey(text: string): { source: LabelSource; key: string } | { problem: string } {
  try {
    const { source, rest } = splitSource(text, 'any');
    const problem = labelKeyProblem(rest);
    return problem === undefined ? { source, key: rest } : { problem };
  } catch (thrown) {
    return { problem: WeirError.from(thrown).message };
  }
}

const readKey: Reader<ExpressionFields['key']> = (place) => {
  const text = readString(place);
  if (text === undefined) return undefined;
  const key = selectorKey(text);
  return 'problem' in key ? reportProblem(place, key.problem) : key;
};

const readValue: Reader<string> = (place) => {
  const value = readString(place);
  const problem = value === undefined ? undefined : labelValueProblem(value);
  return problem === undefined ? value : reportProblem(place, problem);
};

const readMatchLabels: Reader<readonly Requirement[]> = (place) => {
  const map = mapAt(place);
  if (map === undefined) return undefined;
  const before = place.sink.problems.count;
  const requirements: Requirement[] = [];
  for (const field of map.node.fields) {
    const key = selectorKey(field.key);
    const value = readValue(fieldPlace(place, field));
    if ('problem' in key) {
      reportProblem(place, key.problem, {
        span: field.keySpan,
        path: fieldPath(place.path, field.key),
        value: field.key,
      });
    } else if (value !== undefined) {
      requirements.push({ ...key, operator: 'In', values: [value] });
    }
  }
  return place.sink.problems.count === before ? requirements : undefined;
};

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

/** An item of `matchExpressions`. */
export const expressionSchema: ObjectSchema<ExpressionFields> = {
  fields: {
    key: readKey,
    operator: wordReader(['In', 'NotIn', 'Exists', 'DoesNotExist'], 'an operator'),
    values: listReader(readValue),
  },
  required: ['key', 'operator'],
  check: checkValues,
};

const readExpression = objectReader(expressionSchema);

const readRequirement: Reader<Requirement> = (place) => {
  const expression = readExpression(place);
  if (expression === undefined) return undefined;
  return { ...expression.key, operator: expression.operator, values: expression.values ?? [] };
};

/** A selector as policies write it. */
export const selectorSchema: ObjectSchema<SelectorFields> = {
  fields: { matchLabels: readMatchLabels, matchExpressions: listReader(readRequirement) },
};

const readFields = objectReader(selectorSchema);

/** Reads a label selector; all of its parts must hold. `{}` selects everything. */
export const readSelector: Reader<SelectorSpec> = (place) => {
  const fields = readFields(place);
  if (fields === undefined) return undefined;
  return createSelectorSpec([...(fields.matchLabels ?? []), ...(fields.matchExpressions ?? [])]);
};
