// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@weir/clock';
import { hasStatus, type KubernetesApi } from '@weir/kubernetes';
import type { Claim, LeaderClaims, SeenClaim } from './leader-claims.ts';

export interface LeaseClaimsOptions {
  readonly api: KubernetesApi;
  readonly namespace: string;
  /** Of the Lease. */
  readonly name: string;
  readonly leaseMs: number;
  readonly clock: Clock;
}

interface Lease {
  readonly metadata: { readonly resourceVersion: string };
  readonly spec?: { readonly holderIdentity?: string; readonly leaseTransitions?: number };
}

// Names of operators are host names, which have none; after it comes what tells two of one name apart.
const separator = '_';

function claimOf({ spec = {} }: Lease): Claim {
  const { holderIdentity: holder = '' } = spec;
  const at = holder.indexOf(separator);
  const [name, id] = at < 0 ? [holder, holder] : [holder.slice(0, at), holder.slice(at + 1)];
  return { name, id, beat: 0, hasResigned: holder === '' };
}

/**
 * Claims are a Lease of Kubernetes, as `kubectl get leases` shows them. Every write has the version that was read: who was
 * slower is refused. Its times are for people; nobody compares clocks.
 */
export function createLeaseClaims(options: LeaseClaimsOptions): LeaderClaims {
  const { api, namespace, name, leaseMs, clock } = options;
  const collection = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`;
  const deadlineMs = Math.max(1_000, leaseMs / 2);
  let seen: SeenClaim | undefined;
  let transitions = 0;

  const take = (lease: Lease): void => {
    transitions = lease.spec?.leaseTransitions ?? 0;
    const version = lease.metadata.resourceVersion;
    if (version !== seen?.version) seen = { version, claim: claimOf(lease), atMs: clock.monotonicMs() };
  };
  const bodyOf = (claim: Claim): object => {
    const holderIdentity = claim.hasResigned ? '' : `${claim.name}${separator}${claim.id}`;
    const isNew = seen?.claim.id !== claim.id;
    const now = new Date(clock.nowMs()).toISOString().replace('Z', '000Z');
    return {
      ...{ apiVersion: 'coordination.k8s.io/v1', kind: 'Lease' },
      metadata: { name, namespace, ...(seen && { resourceVersion: seen.version }) },
      spec: {
        ...{ holderIdentity, renewTime: now, leaseDurationSeconds: Math.max(1, Math.ceil(leaseMs / 1_000)) },
        leaseTransitions: transitions + (isNew && seen !== undefined ? 1 : 0),
      },
    };
  };
  return {
    get seen() {
      return seen;
    },
    async look() {
      try {
        take(await api.request<Lease>({ path: `${collection}/${name}`, deadlineMs }));
      } catch (error) {
        if (!hasStatus(error, 404)) throw error;
        seen = undefined;
      }
    },
    async write(claim) {
      try {
        const target =
          seen === undefined
            ? ({ method: 'POST', path: collection } as const)
            : ({ method: 'PUT', path: `${collection}/${name}` } as const);
        take(await api.request<Lease>({ ...target, body: bodyOf(claim), deadlineMs }));
        return true;
      } catch (error) {
        // Somebody has written it, made it, or removed it meanwhile.
        if (hasStatus(error, 409) || (hasStatus(error, 404) && seen !== undefined)) return false;
        throw error;
      }
    },
  };
}
