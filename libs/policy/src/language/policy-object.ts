// SPDX-License-Identifier: Apache-2.0
import { policyLimits } from '../limits.ts';
import { plainValue, type MapNode, type PlainValue } from '../document/document-node.ts';
import { descend, type Place, placeLine, reportProblem } from '../document/place.ts';
import {
  listReader,
  objectReader,
  type ObjectSchema,
  type Reader,
  readString,
  wordReader,
} from '../document/readers.ts';
import type { Policy, PolicyKind, Rule } from '../rule.ts';
import { ruleReader, type RuleOrigin } from './rule.ts';

/** The kinds of policy that are Kubernetes objects. */
export type ObjectKind = Exclude<PolicyKind, 'RuleList'>;

/** The one version of the API that is read. */
export const policyApiVersion = 'cilium.io/v2';

interface MetadataFields {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
}

function nameReader(pattern: RegExp, expected: string): Reader<string> {
  return (place) => {
    const name = readString(place);
    return name === undefined || pattern.test(name) ? name : reportProblem(place, `"${name}" is not ${expected}`);
  };
}

const dnsLabel = '[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?';

const readName = nameReader(
  new RegExp(`^(?=.{1,253}$)${dnsLabel}(\\.${dnsLabel})*$`),
  'a name (1–253 lower-case letters, digits, "-" and ".", beginning and ending with a letter or digit)',
);

const readNamespace = nameReader(
  new RegExp(`^${dnsLabel}$`),
  'a namespace (1–63 lower-case letters, digits and "-", beginning and ending with a letter or digit)',
);

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

interface ObjectFields {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: MetadataFields;
  readonly spec?: Rule;
  readonly specs?: readonly Rule[];
}

/** Labels that rules of policy objects carry in the baseline, too; tools recognise policies by them. */
function derivedLabels(kind: ObjectKind, metadata: MetadataFields): string[] {
  const { name, namespace, uid } = metadata;
  const prefix = 'k8s:io.cilium.k8s.policy';
  return [
    `${prefix}.derived-from=${kind}`,
    `${prefix}.name=${name}`,
    ...(kind === 'CiliumNetworkPolicy' ? [`${prefix}.namespace=${namespace ?? defaultNamespace}`] : []),
    ...(uid === undefined ? [] : [`${prefix}.uid=${uid}`]),
  ];
}

const defaultNamespace = 'default';

/** The schema of a policy object whose rules come from `origin`. */
export function objectSchema(origin: RuleOrigin): ObjectSchema<ObjectFields> {
  const readRule = ruleReader(origin);
  return {
    fields: {
      apiVersion: wordReader([policyApiVersion], 'the API version of a policy'),
      kind: readString,
      metadata: objectReader(metadataSchema),
      spec: readRule,
      specs: listReader(readRule, { itemsMax: policyLimits.rulesPerPolicyMax }),
    },
    required: ['apiVersion', 'metadata'],
    ignored: ['status'],
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
function canonicalDocument(place: Place<MapNode>, kind: ObjectKind, metadata: MetadataFields): string {
  const { name, namespace = defaultNamespace, uid } = metadata;
  return JSON.stringify({
    apiVersion: policyApiVersion,
    kind,
    metadata: {
      name,
      ...(kind === 'CiliumNetworkPolicy' && { namespace }),
      ...(uid !== undefined && { uid }),
    },
    ...pick(place.node, ['spec', 'specs']),
  });
}

/** Reads a `CiliumNetworkPolicy` or `CiliumClusterwideNetworkPolicy`. */
export function readPolicyObject(place: Place<MapNode>, kind: ObjectKind, clusterName: string): Policy | undefined {
  // The rules depend on the namespace, so it is needed before they can be read; its problems are reported below.
  const silent = { count: 0, add: (): void => undefined, list: () => [] };
  const early = descend(place, ['metadata']);
  const metadata = objectReader(metadataSchema)({ ...early, sink: { problems: silent, warnings: silent } });
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
    document: canonicalDocument(place, kind, fields.metadata),
  };
}
