// SPDX-License-Identifier: Apache-2.0
import { policyLimits } from '../limits.ts';
import { plainValue, type MapNode, type PlainValue } from '../document/document-node.ts';
import { descend, type Place, placeLine, reportProblem } from '../document/place.ts';
import { listReader, objectReader, type ObjectSchema, readString, wordReader } from '../document/readers.ts';
import type { Policy, PolicyKind, Rule } from '../rule.ts';
import { readName, readNamespace } from './names.ts';
import { ruleReader, type RuleOrigin } from './rule.ts';

/** The kinds of policy that are objects of `cilium.io`. */
export type ObjectKind = Exclude<PolicyKind, 'RuleList' | 'NetworkPolicy'>;

/** The one version of the API that is read. */
export const policyApiVersion = 'cilium.io/v2';

/** What of `metadata` concerns a policy. */
export interface MetadataFields {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
}

/** `metadata`: Kubernetes fills it with more than concerns a policy. */
export const metadataSchema: ObjectSchema<MetadataFields> = {
  fields: { name: readName, namespace: readNamespace, uid: readString },
  required: ['name'],
  ignored: [
    'annotations',
    'creationTimestamp',
    'deletionGracePeriodSeconds',
    'deletionTimestamp',
    'finalizers',
    'generation',
    'labels',
    'managedFields',
    'ownerReferences',
    'resourceVersion',
    'selfLink',
  ],
};

const readMetadata = objectReader(metadataSchema);

interface ObjectFields {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: MetadataFields;
  readonly spec?: Rule;
  readonly specs?: readonly Rule[];
}

/** Labels that rules of policy objects carry in the baseline, too; tools recognise policies by them. */
export function derivedLabels(kind: PolicyKind, metadata: MetadataFields): string[] {
  const { name, namespace, uid } = metadata;
  const prefix = 'k8s:io.cilium.k8s.policy';
  return [
    `${prefix}.derived-from=${kind}`,
    `${prefix}.name=${name}`,
    ...(kind === 'CiliumClusterwideNetworkPolicy' ? [] : [`${prefix}.namespace=${namespace ?? defaultNamespace}`]),
    ...(uid === undefined ? [] : [`${prefix}.uid=${uid}`]),
  ];
}

/** The namespace of what names none. */
export const defaultNamespace = 'default';

/** The schema of a policy object whose rules come from `origin`. */
export function objectSchema(origin: RuleOrigin): ObjectSchema<ObjectFields> {
  const readRule = ruleReader(origin);
  return {
    fields: {
      apiVersion: wordReader([policyApiVersion], 'the API version of a policy'),
      kind: readString,
      metadata: readMetadata,
      spec: readRule,
      specs: listReader(readRule, { itemsMax: policyLimits.rulesPerPolicyMax }),
    },
    required: ['apiVersion', 'metadata'],
    ignored: ['status'],
    constraints: { anyOf: [{ required: ['spec'] }, { required: ['specs'] }] },
    check(_fields, place) {
      if (place.node.fields.some(({ key }) => key === 'spec' || key === 'specs')) return;
      reportProblem(place, 'Field "spec" is missing, and "specs", too', { path: 'spec', value: '' });
    },
  };
}

function pick(node: MapNode, keys: readonly string[]): Record<string, PlainValue> {
  return Object.fromEntries(
    keys.flatMap((key) =>
      node.fields.filter((field) => field.key === key).map(({ value }) => [key, plainValue(value)]),
    ),
  );
}

/** The object without what Kubernetes and other tools add to it, as canonical JSON. */
export function canonicalDocument(
  place: Place<MapNode>,
  type: { readonly apiVersion: string; readonly kind: PolicyKind },
  metadata: MetadataFields,
): string {
  const { name, namespace = defaultNamespace, uid } = metadata;
  return JSON.stringify({
    ...type,
    metadata: {
      name,
      ...(type.kind !== 'CiliumClusterwideNetworkPolicy' && { namespace }),
      ...(uid !== undefined && { uid }),
    },
    ...pick(place.node, ['spec', 'specs']),
  });
}

/** What `metadata` says, before anything else of an object is read and without reporting what is wrong with it. */
export function peekMetadata(place: Place<MapNode>): MetadataFields | undefined {
  const silent = { count: 0, add: (): void => undefined, list: () => [] };
  return readMetadata({ ...descend(place, ['metadata']), sink: { problems: silent, warnings: silent } });
}

/** Reads a `CiliumNetworkPolicy` or `CiliumClusterwideNetworkPolicy`. */
export function readPolicyObject(place: Place<MapNode>, kind: ObjectKind, clusterName: string): Policy | undefined {
  // The rules depend on the namespace, so it is needed before they can be read.
  const metadata = peekMetadata(place);
  const namespace = metadata?.namespace ?? defaultNamespace;
  const fields = objectReader(
    objectSchema({
      scope: kind === 'CiliumNetworkPolicy' ? { kind: 'namespace', namespace } : { kind: 'cluster' },
      clusterName,
      labels: metadata === undefined ? [] : derivedLabels(kind, metadata),
    }),
  )(place);
  if (kind === 'CiliumClusterwideNetworkPolicy' && metadata?.namespace !== undefined) {
    return reportProblem(descend(place, ['metadata', 'namespace']), `A ${kind} has no namespace; leave it out`);
  }
  if (fields === undefined) return undefined;
  const { name } = fields.metadata;
  const scopeName = kind === 'CiliumNetworkPolicy' ? namespace : '';
  return {
    key: `${kind}/${scopeName}/${name}`,
    kind,
    namespace: scopeName,
    name,
    source: { file: place.file.name, line: placeLine(place, 'first') },
    rules: [...(fields.spec === undefined ? [] : [fields.spec]), ...(fields.specs ?? [])],
    document: canonicalDocument(place, { apiVersion: policyApiVersion, kind }, fields.metadata),
  };
}
