// SPDX-License-Identifier: Apache-2.0
import type { FlowEndpoint } from '@weir/flow';
import { defaultClusterName, formatLabel, reservedIdentities } from '@weir/model';
import type { flow } from '@weir/proto';
import { createEndpointNames, type EndpointName } from './endpoint-names.ts';
import { createPolicyNumbers, type Policies, policyOfKey } from './policy-numbers.ts';
import { createServiceNames, type ServiceNames } from './service-names.ts';
import type { DefaultDeny, NameChange, NamedEndpoint, RemotePod } from './thread-messages.ts';
import { createPodNames, type PodName } from './pod-names.ts';
import { createVersions } from './versions.ts';

/** One end of a flow, as the kernel or the proxy reports it. */
export interface EndKey {
  /** 0: not known to be one of this node. */
  readonly endpointId: number;
  readonly identity: number;
  /** In canonical form. */
  readonly address: string;
}

/** Whom flows are about, and by which policies, as it was at the time of each flow. */
export interface Names {
  apply(change: NameChange): void;
  /** One and the same object for all flows of an end, so that what is worked out of it can be kept. */
  end(key: EndKey, timeMs: number): FlowEndpoint;
  service: ServiceNames['find'];
  endpoint(id: number, address: string, timeMs: number): NamedEndpoint | undefined;
  /** A pod of another node. */
  remotePod(address: string, timeMs: number): RemotePod | undefined;
  labels(identity: number, timeMs: number): readonly string[];
  device(ifindex: number, timeMs: number): flow.NetworkInterface.$Properties;
  cookiePolicies(cookie: number): Policies;
  ruleSetPolicies(ruleSet: number): Policies;
  defaultDenyPolicies(identity: number, isIngress: boolean, timeMs: number): Policies;
  /** Keys behind those numbers, for who names policies otherwise. */
  cookieKeys(cookie: number): readonly string[];
  ruleSetKeys(ruleSet: number): readonly string[];
  defaultDenyKeys(identity: number, isIngress: boolean, timeMs: number): readonly string[];
  prune(beforeMs: number): void;
}

const namespaceLabel = 'k8s:io.kubernetes.pod.namespace=';
const noLabels: readonly string[] = [];
const noKeys: readonly string[] = [];

/** Which policies keep an identity from whom nothing allows it to talk to. */
function createDefaultDenies() {
  const versions = createVersions<number, DefaultDeny>();
  const policies = new WeakMap<readonly string[], Policies>();
  const keys = (identity: number, isIngress: boolean, timeMs: number): readonly string[] => {
    const both = versions.at(identity, timeMs);
    return (isIngress ? both?.ingress : both?.egress) ?? noKeys;
  };
  return {
    put: (subject: DefaultDeny, sinceMs: number): void => versions.put(subject.identity, { sinceMs, value: subject }),
    keys,
    policies(identity: number, isIngress: boolean, timeMs: number): Policies {
      const its = keys(identity, isIngress, timeMs);
      const known = policies.get(its) ?? its.map(policyOfKey);
      policies.set(its, known);
      return known;
    },
    prune: versions.prune,
  };
}

/** What flows say of their ends, each made once and kept with what it was made of. */
function createEnds(labels: (identity: number, timeMs: number) => readonly string[]) {
  const others = new WeakMap<readonly string[], Map<number, FlowEndpoint>>();
  return {
    ofEndpoint(known: EndpointName, identity: number, timeMs: number): FlowEndpoint {
      const { id, namespace, pod } = known;
      const end = {
        ...{ ID: id, identity, namespace, podName: pod, clusterName: defaultClusterName },
        labels: [...labels(identity, timeMs)],
      };
      known.ends.set(identity, end);
      return end;
    },
    ofRemotePod(known: PodName, identity: number, timeMs: number): FlowEndpoint {
      const { namespace, pod: podName } = known;
      const clusterName = defaultClusterName;
      const end = { identity, namespace, podName, clusterName, labels: [...labels(identity, timeMs)] };
      known.ends.set(identity, end);
      return end;
    },
    /** Somebody of whom only the identity is known: the world, this host, a pod whose name nobody told. */
    ofOther(identity: number, timeMs: number): FlowEndpoint {
      const its = labels(identity, timeMs);
      const known = others.get(its)?.get(identity);
      if (known !== undefined) return known;
      const namespace = its.find((label) => label.startsWith(namespaceLabel))?.slice(namespaceLabel.length) ?? '';
      const clusterName = namespace === '' ? '' : defaultClusterName;
      const end = { identity, namespace, clusterName, labels: [...its] };
      others.set(its, (others.get(its) ?? new Map<number, FlowEndpoint>()).set(identity, end));
      return end;
    },
  };
}

/** Knows the reserved identities, and what it is told. */
export function createNames(): Names {
  const endpoints = createEndpointNames();
  const remotePods = createPodNames();
  const services = createServiceNames();
  const identities = createVersions<number, readonly string[]>();
  const denies = createDefaultDenies();
  const cookies = createPolicyNumbers();
  const ruleSets = createPolicyNumbers();
  for (const [identity, { labels }] of reservedIdentities) {
    identities.put(identity, { sinceMs: 0, value: labels.map(formatLabel).toSorted() });
  }

  const labels = (identity: number, timeMs: number): readonly string[] => identities.at(identity, timeMs) ?? noLabels;
  const ends = createEnds(labels);

  const applyIdentity = (identity: number, value: readonly string[], atMs: number): void => {
    if (identities.latest(identity)?.join() !== value.join()) identities.put(identity, { sinceMs: atMs, value });
  };

  return {
    labels,
    apply(change) {
      switch (change.kind) {
        case 'endpoint':
          return endpoints.put(change.endpoint, change.atMs);
        case 'endpoint-gone':
          return endpoints.remove(change.id, change.atMs);
        case 'remote-pods':
          return change.pods.forEach((pod) => remotePods.put(pod, change.atMs));
        case 'remote-pods-gone':
          return change.addresses.forEach((address) => remotePods.remove(address, change.atMs));
        case 'identity':
          return applyIdentity(change.identity, change.labels, change.atMs);
        case 'default-deny':
          return denies.put(change.subject, change.atMs);
        case 'service':
          return services.put(change.service, change.atMs);
        case 'service-gone':
          return services.remove(change.key, change.atMs);
        case 'cookie':
          return cookies.set(change.number, change.policies);
        case 'rule-set':
          return ruleSets.set(change.number, change.policies);
      }
    },
    end({ endpointId, identity, address }, timeMs) {
      const known = endpoints.find(endpointId, address, timeMs);
      if (known !== undefined) return known.ends.get(identity) ?? ends.ofEndpoint(known, identity, timeMs);
      const remote = remotePods.find(address, timeMs);
      if (remote !== undefined) return remote.ends.get(identity) ?? ends.ofRemotePod(remote, identity, timeMs);
      return ends.ofOther(identity, timeMs);
    },
    service: services.find,
    endpoint: endpoints.find,
    remotePod: remotePods.find,
    device: endpoints.device,
    cookiePolicies: cookies.policies,
    ruleSetPolicies: ruleSets.policies,
    defaultDenyPolicies: denies.policies,
    cookieKeys: cookies.keys,
    ruleSetKeys: ruleSets.keys,
    defaultDenyKeys: denies.keys,
    prune(beforeMs) {
      for (const versions of [endpoints, remotePods, services, identities, denies]) versions.prune(beforeMs);
    },
  };
}
