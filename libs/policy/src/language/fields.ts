// SPDX-License-Identifier: Apache-2.0
import { type ObjectSchema, refusedFields } from '../document/readers.ts';
import { defaultFeatures, type FeatureSet } from '../feature.ts';
import { cidrRuleSchema } from './cidr-rule.ts';
import { enforcedEntities, refusedEntities } from './entities.ts';
import { headerMatchSchema, httpRuleSchema } from './http-rule.ts';
import { icmpFieldSchema, icmpRuleSchema } from './icmp-rule.ts';
import {
  ipBlockSchema,
  networkEgressSchema,
  networkIngressSchema,
  networkPeerSchema,
  networkPolicySchema,
  networkPolicySpecSchema,
  networkPortSchema,
} from './network-policy.ts';
import { metadataSchema, objectSchema } from './policy-object.ts';
import { portSchema } from './port-item.ts';
import { denyPortRuleSchema, layer7Schema, portRuleSchema } from './port-rule.ts';
import { defaultDenySchema, ruleLabelSchema, ruleSchema } from './rule.ts';
import { egressDenySchema, egressSchema, ingressDenySchema, ingressSchema } from './section.ts';
import { expressionSchema, selectorSchema } from './selector.ts';
import { namedServiceSchema, selectedServicesSchema, serviceSchema } from './service-rule.ts';

/** A field of the language and what becomes of it. */
export interface FieldReference {
  /** The object that it is in: `rule`, `toPorts[]`. Those of a NetworkPolicy begin with its name. */
  readonly object: string;
  readonly field: string;
  readonly status: 'enforced' | 'refused' | 'ignored';
}

/** Every field of the language under some features, taken from the very tables that read it. */
export function languageFields(features: FeatureSet = defaultFeatures): FieldReference[] {
  const entry = (object: string, status: FieldReference['status']) => (field: string) => ({ object, field, status });
  const fieldsOf = <T>(object: string, schema: ObjectSchema<T>): FieldReference[] => {
    const refused = refusedFields(schema, features);
    const enforced = Object.keys(schema.fields).filter((field) => !refused.has(field));
    return [
      ...enforced.map(entry(object, 'enforced')),
      ...[...refused.keys()].map(entry(object, 'refused')),
      ...(schema.ignored ?? []).map(entry(object, 'ignored')),
    ];
  };
  const origin = { scope: { kind: 'unscoped' }, clusterName: '', labels: [] } as const;
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
    ...enforcedEntities.map(entry('entity', 'enforced')),
    ...refusedEntities.map(entry('entity', 'refused')),
    ...fieldsOf('CIDRSet[]', cidrRuleSchema),
    ...fieldsOf('toServices[]', serviceSchema),
    ...fieldsOf('k8sService', namedServiceSchema),
    ...fieldsOf('k8sServiceSelector', selectedServicesSchema),
    ...fieldsOf('toPorts[]', portRuleSchema),
    ...fieldsOf('toPorts[] of a denial', denyPortRuleSchema),
    ...fieldsOf('ports[]', portSchema),
    ...fieldsOf('icmps[]', icmpRuleSchema),
    ...fieldsOf('icmps[].fields[]', icmpFieldSchema),
    ...fieldsOf('rules', layer7Schema),
    ...fieldsOf('http[]', httpRuleSchema),
    ...fieldsOf('headerMatches[]', headerMatchSchema),
    ...fieldsOf('NetworkPolicy', networkPolicySchema(undefined)),
    ...fieldsOf('NetworkPolicy spec', networkPolicySpecSchema),
    ...fieldsOf('NetworkPolicy ingress[]', networkIngressSchema),
    ...fieldsOf('NetworkPolicy egress[]', networkEgressSchema),
    ...fieldsOf('NetworkPolicy peer', networkPeerSchema),
    ...fieldsOf('NetworkPolicy ipBlock', ipBlockSchema),
    ...fieldsOf('NetworkPolicy ports[]', networkPortSchema),
  ];
}
