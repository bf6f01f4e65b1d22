// SPDX-License-Identifier: Apache-2.0
// A world that the engine and the naive evaluator see alike: who is in it, by identity for the one, by labels and
// addresses for the other.
import {
  cidrContains,
  cidrIdentityLabels,
  formatLabelSet,
  type LabelSet,
  parseCidr,
  parseIpAddress,
  parseLabelSet,
  reservedIdentities,
  reservedIdentity,
} from '@weir/model';
import {
  addresses,
  type ArbitraryPod,
  type NaiveEnd,
  type NaivePort,
  type NaiveService,
  type WrittenDocument,
} from '@weir/policy-testing';
import type { LabelledIdentity, PolicySubject, PolicyUpdate } from '../engine/engine-types.ts';
import { allFeatures, type FeatureSet } from '../feature.ts';
import { parsePolicyFiles } from '../parse-policy-files.ts';
import { completePrefixes, policyPrefixes } from '../policy-prefixes.ts';
import { formatProblem } from '../problem.ts';
import type { Policy } from '../rule.ts';

/** Somebody whose policy is asked. */
export interface OracleSubject {
  readonly subject: PolicySubject;
  readonly end: NaiveEnd;
}

/** Somebody who talks with subjects. */
export interface OraclePeer {
  readonly id: number;
  readonly end: NaiveEnd;
}

/** Everything that is there besides policies. */
export interface OracleWorld {
  readonly update: PolicyUpdate;
  readonly subjects: readonly OracleSubject[];
  readonly peers: readonly OraclePeer[];
}

/** Reads documents that must be good. */
export function readDocuments(documents: readonly WrittenDocument[], supports: FeatureSet = allFeatures): Policy[] {
  const files = documents.map((document, index) => ({ name: `${index}.json`, content: JSON.stringify(document) }));
  const { policies, problems } = parsePolicyFiles(files, { supports });
  if (problems.length > 0) throw new Error(problems.map(formatProblem).join('\n'));
  return [...policies];
}

const distinct = (ports: readonly NaivePort[]): NaivePort[] => [
  ...new Map(ports.map((port) => [`${port.name}/${port.protocol}/${port.port}`, port])).values(),
];

/** Pods get numbers from 256 on; pods with equal labels are one identity, with the named ports of all of them. */
export function identitiesOf(pods: readonly ArbitraryPod[]): LabelledIdentity[] {
  const sets = new Map<string, { readonly labels: LabelSet; readonly namedPorts: NaivePort[] }>();
  for (const pod of pods) {
    const labels = parseLabelSet(pod.labels);
    const known = sets.get(labels.key)?.namedPorts ?? [];
    sets.set(labels.key, { labels, namedPorts: distinct([...known, ...pod.namedPorts]) });
  }
  return [...sets.values()].map((identity, index) => ({ id: 256 + index, ...identity }));
}

/** The identities of all prefixes that policies and services name. */
export function prefixIdentities(policies: readonly Policy[], services: readonly NaiveService[]): LabelledIdentity[] {
  const ofServices = services.flatMap(({ addresses: named = [] }) => named.map((prefix) => parseCidr(prefix)));
  const all = completePrefixes([...policies.flatMap(policyPrefixes), ...ofServices]);
  return all.map((prefix, index) => ({ id: 2 ** 24 + 1 + index, labels: cidrIdentityLabels(prefix) }));
}

/** Who an address is: the identity of the longest prefix that holds it, as bytes go, or the world. */
function identityOfAddress(address: string, prefixes: readonly LabelledIdentity[]): number {
  const bytes = parseIpAddress(address);
  let best = { id: reservedIdentity.world as number, length: -1 };
  for (const { id, labels } of prefixes) {
    const prefix = parseCidr(labels.labels.find(({ source }) => source === 'cidr')!.key);
    if (cidrContains(prefix, bytes) && prefix.prefixLength > best.length) best = { id, length: prefix.prefixLength };
  }
  return best.id;
}

const nodes: readonly LabelledIdentity[] = [
  { id: 2 ** 25, labels: parseLabelSet(['reserved:remote-node', 'node:role=db']) },
  { id: 2 ** 25 + 1, labels: parseLabelSet(['reserved:remote-node', 'node:role=web']) },
];
const host: LabelledIdentity = { id: 9001, labels: parseLabelSet(['reserved:host', 'k8s:role=db', 'node:role=db']) };

const endOf = ({ labels, namedPorts = [] }: Omit<LabelledIdentity, 'id'>): NaiveEnd => ({
  labels: formatLabelSet(labels),
  namedPorts,
});

/** Makes the world that some policies are about. */
export function createOracleWorld(
  pods: readonly ArbitraryPod[],
  about: { readonly policies: readonly Policy[]; readonly services: readonly NaiveService[] },
): OracleWorld {
  const identities = identitiesOf(pods);
  const prefixes = prefixIdentities(about.policies, about.services);
  const reserved = [...reservedIdentities].slice(0, 7).map(([id, labels]) => ({ id, labels }));
  const init = { id: reservedIdentity.init, labels: reservedIdentities.get(reservedIdentity.init)! };
  // A second pod of the first identity, which gives other names to its ports.
  const twin = { ...identities[0]!, id: 70_001, namedPorts: [{ name: 'http', protocol: 6, port: 443 }] };
  const subjects = [...identities.slice(0, 2), twin, init, host];
  const outside = addresses.map((address) => ({
    id: identityOfAddress(address, prefixes),
    end: { labels: ['reserved:world='], address },
  }));
  return {
    update: {
      upsertPolicies: about.policies,
      upsertIdentities: [...identities, ...nodes, ...prefixes],
      upsertServices: about.services.map(({ addresses: named = [], ...service }) => ({
        ...service,
        addresses: named.map((prefix) => parseCidr(prefix)),
      })),
      upsertSubjects: subjects,
    },
    subjects: subjects.map((subject) => ({ subject, end: endOf(subject) })),
    peers: [...[...identities, ...reserved, ...nodes].map((peer) => ({ id: peer.id, end: endOf(peer) })), ...outside],
  };
}
