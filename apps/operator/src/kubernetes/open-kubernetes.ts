// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@weir/clock';
import { createKubernetesApi, openKubernetesAccess } from '@weir/kubernetes';
import { formatCidr } from '@weir/model';
import type { Logger } from '@weir/telemetry';
import { createLeaseClaims } from '../leader/lease-claims.ts';
import type { LeaderClaims } from '../leader/leader-claims.ts';
import type { LeaderElection } from '../leader/leader-election.ts';
import type { KubernetesOptions } from '../options.ts';
import type { RangeGiver } from '../ranges/range-giver.ts';
import { type RangesOf, rangesOfKubernetes } from './cilium-nodes.ts';
import { createKubernetesDuties, type KubernetesDuties } from './kubernetes-duties.ts';

/** Kubernetes, where there is one. */
export interface OpenKubernetes {
  readonly claims: LeaderClaims;
  /** What the leader keeps in line there. */
  duties(parts: { readonly election: LeaderElection; readonly giver: RangeGiver }): KubernetesDuties;
}

// As `kubectl get leases` shows it.
const leaseName = 'weir-operator';

/** Reads the credentials; nothing is asked yet. */
export async function openKubernetes(
  options: KubernetesOptions,
  deps: { readonly leaseMs: number; readonly clock: Clock; readonly logger: Logger },
): Promise<OpenKubernetes> {
  const { namespace, agentSelector, clusterName, podRanges } = options;
  const { leaseMs, clock, logger } = deps;
  const api = createKubernetesApi(await openKubernetesAccess(options.access));
  return {
    claims: createLeaseClaims({ api, namespace, name: leaseName, leaseMs, clock }),
    duties({ election, giver }) {
      const rangesOfPools: RangesOf = async (name) => {
        const { ipv4, ipv6 } = await giver.give(name);
        return [formatCidr(ipv4), formatCidr(ipv6)];
      };
      const rangesOf = podRanges === 'kubernetes' ? rangesOfKubernetes : rangesOfPools;
      return createKubernetesDuties({ api, election, namespace, agentSelector, clusterName, rangesOf, clock, logger });
    },
  };
}
