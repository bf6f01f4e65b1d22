// SPDX-License-Identifier: Apache-2.0
import {
  completePrefixes,
  policyPrefixes,
  type PolicyUpdate,
  type ServiceDescription,
  type ServiceName,
} from '@weir/policy';
import type { Cidr } from '@weir/model';
import type { Logger } from '@weir/telemetry';
import { labelledPrefixes, type PrefixIdentities } from '../identity/prefix-identities.ts';
import type { DesiredIpcache } from '../ipcache/desired-ipcache.ts';
import type { Commit, PolicyController } from './policy-controller.ts';
import type { ServiceReferences } from './service-references.ts';

/** Brings the prefixes that policies name, themselves or by services, into engine and kernel, and takes them away again. */
export interface PolicyPrefixes {
  /** A commit of policies and services with the identities and addresses of all that they name. Throws RESOURCE_EXHAUSTED. */
  include(policy: PolicyUpdate): Commit;
  /**
   * Takes away what no policy names any more: in a commit of its own, after no policy in the kernel is about it. What
   * fails is logged, and tried again the next time.
   */
  prune(): Promise<void>;
}

export interface PolicyPrefixesOptions {
  readonly identities: PrefixIdentities;
  readonly ipcache: DesiredIpcache;
  readonly services: Pick<ServiceReferences, 'complete'>;
  readonly controller: Pick<PolicyController, 'commit'>;
  readonly logger: Logger;
}

const serviceUser = ({ namespace, name }: ServiceName): string => `Service/${namespace}/${name}`;

/** A service with a selector is its pods, whose addresses are no prefixes. */
const servicePrefixes = ({ selector = {}, addresses = [] }: ServiceDescription): Cidr[] =>
  Object.keys(selector).length === 0 ? completePrefixes(addresses) : [];

/** Who names which prefixes after an update, and who none any more. */
const prefixUsers = (update: PolicyUpdate): Parameters<PrefixIdentities['use']>[0] => ({
  upsert: [
    ...(update.upsertPolicies ?? []).map((policy) => ({ key: policy.key, ranges: policyPrefixes(policy) })),
    ...(update.upsertServices ?? []).map((service) => ({
      key: serviceUser(service),
      ranges: servicePrefixes(service),
    })),
  ],
  delete: [...(update.deletePolicies ?? []), ...(update.deleteServices ?? []).map(serviceUser)],
});

/** See {@link PolicyPrefixes}. */
export function createPolicyPrefixes(options: PolicyPrefixesOptions): PolicyPrefixes {
  const { identities, ipcache, services, controller, logger } = options;
  return {
    include(given) {
      const policy = services.complete(given);
      const { upsertIdentities = [] } = policy;
      const named = identities.use(prefixUsers(policy));
      return {
        policy: { ...policy, upsertIdentities: [...upsertIdentities, ...labelledPrefixes(named)] },
        datapath: () => ipcache.change({ upsert: named, source: 'policy' }),
      };
    },
    async prune() {
      const unused = identities.unused();
      if (unused.length === 0) return;
      try {
        await controller.commit({
          policy: { deleteIdentities: unused.map(({ identity }) => identity) },
          datapath: () => ipcache.change({ remove: unused.map(({ range }) => range), source: 'policy' }),
        });
        identities.forget(unused);
      } catch (error) {
        logger.error({ error, count: unused.length }, 'Prefixes that no policy names could not be taken away');
      }
    },
  };
}
