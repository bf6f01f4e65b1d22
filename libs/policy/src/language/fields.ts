// SPDX-License-Identifier: Apache-2.0
import type { ObjectSchema } from '../document/readers.ts';
import { enforcedEntities, refusedEntities } from './entities.ts';
import { metadataSchema, objectSchema } from './policy-object.ts';
import { denyPortRuleSchema, httpRuleSchema, layer7Schema, portRuleSchema, portSchema } from './ports.ts';
import { defaultDenySchema, ruleLabelSchema, ruleSchema } from './rule.ts';
import { egressDenySchema, egressSchema, ingressDenySchema, ingressSchema } from './section.ts';
import { expressionSchema, selectorSchema } from './selector.ts';

/** A field of the language and what becomes of it. */
export interface FieldReference {
  /** The object that it is in: `rule`, `toPorts[]`. */
  readonly object: string;
  readonly field: string;
  readonly status: 'enforced' | 'refused' | 'ignored';
}

function fieldsOf<T>(object: string, schema: ObjectSchema<T>): FieldReference[] {
  const entry = (status: FieldReference['status']) => (field: string) => ({ object, field, status });
  return [
    ...Object.keys(schema.fields).map(entry('enforced')),
    ...Object.keys(schema.refused ?? {}).map(entry('refused')),
    ...(schema.ignored ?? []).map(entry('ignored')),
  ];
}

/** Every field of the language, taken from the very tables that read it. */
export function languageFields(): FieldReference[] {
  const origin = { scope: { kind: 'unscoped' }, clusterName: '', labels: [] } as const;
  const entity = (status: FieldReference['status']) => (field: string) => ({ object: 'entity', field, status });
  return [
    ...fieldsOf('policy', objectSchema(origin)),
    ...fieldsOf('metadata', metadataSchema),
    ...fieldsOf('rule', ruleSchema),
    ...fieldsOf('enableDefaultDeny', defaultDenySchema),
    ...fieldsOf('labels[]', ruleLabelSchema),
    ...fieldsOf('selector', selectorSchema),
    ...fieldsOf('matchExpressions[]', expressionSchema),
    ...fieldsOf('ingress[]', ingressSchema),
    ...fieldsOf('ingressDeny[]', ingressDenySchema),
    ...fieldsOf('egress[]', egressSchema),
    ...fieldsOf('egressDeny[]', egressDenySchema),
    ...enforcedEntities.map(entity('enforced')),
    ...refusedEntities.map(entity('refused')),
    ...fieldsOf('toPorts[]', portRuleSchema),
    ...fieldsOf('toPorts[] of a denial', denyPortRuleSchema),
    ...fieldsOf('ports[]', portSchema),
    ...fieldsOf('rules', layer7Schema),
    ...fieldsOf('http[]', httpRuleSchema),
  ];
}
