// SPDX-License-Identifier: Apache-2.0
import { defaultClusterName } from '@weir/model';
import { describeNode, type MapNode } from './document/document-node.ts';
import { descend, fieldPath, itemPlace, type Place, type PlaceSink, reportProblem } from './document/place.ts';
import { listAt, mapAt, readString } from './document/readers.ts';
import { type PolicyFile, readDocuments } from './document/read-documents.ts';
import { closestWord } from './document/unknown-field.ts';
import { defaultFeatures, type PolicyFeature } from './feature.ts';
import { readNetworkPolicy } from './language/network-policy.ts';
import { readPolicyObject } from './language/policy-object.ts';
import { readRuleList } from './language/rule-list.ts';
import { createProblemList, type PolicyProblem } from './problem.ts';
import type { Policy } from './rule.ts';

/** What {@link parsePolicyFiles} may be told. */
export interface ParseOptions {
  /** Value of the cluster label of local endpoints. Default `default`. */
  readonly clusterName?: string;
  /** What can be enforced; what needs anything else is refused. Default {@link defaultFeatures}. */
  readonly supports?: Iterable<PolicyFeature>;
}

/** What an import holds. With any problem nothing of it should be applied. */
export interface ParsedPolicies {
  /** Those without problems, in the order of files and documents. */
  readonly policies: readonly Policy[];
  readonly problems: readonly PolicyProblem[];
  /** What was probably not meant, and is done all the same. */
  readonly warnings: readonly PolicyProblem[];
}

const objectKinds = ['CiliumNetworkPolicy', 'CiliumClusterwideNetworkPolicy', 'NetworkPolicy'] as const;
const listKinds: readonly string[] = ['List', ...objectKinds.map((kind) => `${kind}List`)];
const whatIsExpected = `${objectKinds.join(', ')}, or a list of rules`;

function readKind(object: Place<MapNode>, clusterName: string): Policy[] {
  const at = descend(object, ['kind']);
  if (at === object) {
    const isRule = object.node.fields.some(({ key }) => key === 'endpointSelector' || key === 'nodeSelector');
    const message = isRule
      ? 'A rule by itself is not a policy; write a list of rules, [ … ]'
      : `Field "kind" is missing; expected ${whatIsExpected}`;
    reportProblem(object, message, { path: fieldPath(object.path, 'kind'), value: '' });
    return [];
  }
  const written = readString(at);
  if (written === undefined) return [];
  if (listKinds.includes(written)) return readItems(object, clusterName);
  const kind = objectKinds.find((candidate) => candidate === written);
  if (kind !== undefined) {
    const policy = kind === 'NetworkPolicy' ? readNetworkPolicy(object) : readPolicyObject(object, kind, clusterName);
    return policy === undefined ? [] : [policy];
  }
  const guess = closestWord(written, objectKinds);
  const advice = guess === undefined ? `expected ${whatIsExpected}` : `did you mean "${guess}"?`;
  reportProblem(at, `"${written}" is not a kind of policy; ${advice}`);
  return [];
}

/** Reads the objects of a Kubernetes list, as `kubectl get -o yaml` writes them. */
function readItems(list: Place<MapNode>, clusterName: string): Policy[] {
  const at = descend(list, ['items']);
  if (at === list) {
    reportProblem(list, 'Field "items" is missing', { path: fieldPath(list.path, 'items'), value: '' });
    return [];
  }
  return (listAt(at)?.node.items ?? []).flatMap((node, index) => {
    const object = mapAt(itemPlace(at, node, index), `one of ${objectKinds.join(', ')}`);
    return object === undefined ? [] : readKind(object, clusterName);
  });
}

function readDocument(place: Place, clusterName: string): Policy[] {
  const { node } = place;
  switch (node.kind) {
    case 'map':
      return readKind({ ...place, node }, clusterName);
    case 'list':
      return readRuleList({ ...place, node }, clusterName);
    case 'scalar':
      reportProblem(place, `${describeNode(node)} is not a policy; expected ${whatIsExpected}`);
      return [];
  }
}

/** Reports policies that occur twice and leaves the later ones out. */
function unique(policies: readonly Policy[], sink: PlaceSink): Policy[] {
  const byKey = new Map<string, Policy>();
  for (const policy of policies) {
    const other = byKey.get(policy.key);
    if (other === undefined) {
      byKey.set(policy.key, policy);
      continue;
    }
    const { file, line } = policy.source;
    const path = policy.kind === 'RuleList' ? '' : 'metadata.name';
    const message = `${policy.kind} "${policy.name}" occurs twice in this import, first in ${other.source.file}, line ${other.source.line}`;
    sink.problems.add({ file, line, column: 1, path, value: policy.name, message });
  }
  return [...byKey.values()];
}

/**
 * Reads policy files, YAML or JSON, each of one or more documents: `CiliumNetworkPolicy` and
 * `CiliumClusterwideNetworkPolicy` of `cilium.io/v2`, `NetworkPolicy` of `networking.k8s.io/v1`, Kubernetes lists of
 * them, and lists of rules. All that is wrong with all files comes back in one list. Never throws because of what a file
 * holds.
 */
export function parsePolicyFiles(files: readonly PolicyFile[], options: ParseOptions = {}): ParsedPolicies {
  const sink = { problems: createProblemList(), warnings: createProblemList() };
  const clusterName = options.clusterName ?? defaultClusterName;
  const features = new Set(options.supports ?? defaultFeatures);
  const policies = files.flatMap((given) => {
    const file = readDocuments(given, sink.problems);
    return file.documents.flatMap((node) => readDocument({ node, path: '', file, sink, features }, clusterName));
  });
  const accepted = unique(policies, sink);
  return { policies: accepted, problems: sink.problems.list(), warnings: sink.warnings.list() };
}
