// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@weir/clock';
import { hasStatus, type KubernetesApi, type WatchedResource } from '@weir/kubernetes';
import { parsePolicyFiles } from '@weir/policy';
import { applyObject } from './apply-object.ts';

/** A policy: what is wrong with it, and what it says of that. */
export interface JudgedPolicy {
  readonly problems: readonly string[];
  /** What its condition `Valid` says; undefined where it has none. */
  readonly said: { readonly status: string; readonly message: string } | undefined;
}

interface PolicyObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly status?: {
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly message?: string }[];
  };
}

/** The kinds of policy whose status is kept. */
export const policyKinds = ['CiliumNetworkPolicy', 'CiliumClusterwideNetworkPolicy'] as const;
type PolicyKind = (typeof policyKinds)[number];

const plurals: Readonly<Record<PolicyKind, string>> = {
  CiliumNetworkPolicy: 'ciliumnetworkpolicies',
  CiliumClusterwideNetworkPolicy: 'ciliumclusterwidenetworkpolicies',
};
const group = '/apis/cilium.io/v2';
const messageCharactersMax = 1_000;

/** All policies of a kind, each judged by the reader that agents have. */
export const policiesResource = (kind: PolicyKind, clusterName: string): WatchedResource<JudgedPolicy> => ({
  ...{ name: plurals[kind], path: `${group}/${plurals[kind]}` },
  read(object) {
    const policy = { ...(object as PolicyObject), kind, apiVersion: 'cilium.io/v2' };
    const text = JSON.stringify(policy);
    const { problems } = parsePolicyFiles([{ name: policy.metadata.name, content: text }], { clusterName });
    const condition = policy.status?.conditions?.find(({ type }) => type === 'Valid');
    return {
      problems: problems.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`)),
      said: condition && { status: condition.status, message: condition.message ?? '' },
    };
  },
});

export interface PolicyStatusOptions {
  readonly api: KubernetesApi;
  readonly kind: PolicyKind;
  readonly policies: ReadonlyMap<string, JudgedPolicy>;
  readonly clock: Clock;
}

/** Says in the status of policies whether they are valid, and if not, why: such a policy is not enforced. */
export function createPolicyStatus({ api, kind, policies, clock }: PolicyStatusOptions) {
  return {
    /** True when something was written. */
    async reconcile(key: string): Promise<boolean> {
      const policy = policies.get(key);
      if (policy === undefined) return false;
      const { problems, said } = policy;
      const status = problems.length === 0 ? 'True' : 'False';
      const message =
        problems.length === 0 ? 'Policy validation succeeded' : problems.join('; ').slice(0, messageCharactersMax);
      if (said?.status === status && said.message === message) return false;
      const at = key.indexOf('/');
      const name = key.slice(at + 1);
      const namespace = at < 0 ? undefined : key.slice(0, at);
      const collection = namespace === undefined ? group : `${group}/namespaces/${namespace}`;
      const condition = {
        ...{ type: 'Valid', status, message, lastTransitionTime: new Date(clock.nowMs()).toISOString() },
        reason: status === 'True' ? 'Valid' : 'Invalid',
      };
      try {
        const metadata = { name, ...(namespace !== undefined && { namespace }) };
        const object = { apiVersion: 'cilium.io/v2', kind, metadata, status: { conditions: [condition] } };
        await applyObject(api, `${collection}/${plurals[kind]}/${name}`, { part: 'status', object });
        return true;
      } catch (error) {
        // Gone meanwhile: apply would make it anew, which the status of an object cannot.
        if (hasStatus(error, 404)) return false;
        throw error;
      }
    },
  };
}
