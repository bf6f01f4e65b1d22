// SPDX-License-Identifier: Apache-2.0

/**
 * Parts of the language that need something of whoever enforces it. A policy that uses one that is not there is refused
 * by name, so that nothing is accepted that nobody enforces:
 * - `cidr`: identities for prefixes; `portRanges`, `icmp`: their keys in policy maps
 * - `namedPorts`: names of ports of identities and subjects; `services`: the cluster's services
 * - `nodeLabels`: identities of nodes with the nodes' labels; `hostPolicy`: policy for the host itself
 * - `httpHeaders`: a proxy that looks at headers and changes them
 * - `defaultAllow`: a datapath that lets through what no entry is about, and still looks at entries
 */
export const policyFeatures = [
  'cidr',
  'defaultAllow',
  'hostPolicy',
  'httpHeaders',
  'icmp',
  'namedPorts',
  'nodeLabels',
  'portRanges',
  'services',
] as const;

/** One of {@link policyFeatures}. */
export type PolicyFeature = (typeof policyFeatures)[number];

/** The features that are there. */
export type FeatureSet = ReadonlySet<PolicyFeature>;

/** What is there unless a caller says otherwise: what the agent, the datapath and the proxy of this version have. */
export const defaultFeatures: FeatureSet = new Set<PolicyFeature>([
  'cidr',
  'defaultAllow',
  'hostPolicy',
  'httpHeaders',
  'icmp',
  'namedPorts',
  'nodeLabels',
  'portRanges',
  'services',
]);

/** Everything. */
export const allFeatures: FeatureSet = new Set(policyFeatures);
