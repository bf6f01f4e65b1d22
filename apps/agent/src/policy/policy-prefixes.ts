// SPDX-License-Identifier: Apache-2.0
import type { PolicyUpdate } from '@weir/policy';
import type { Logger } from '@weir/telemetry';
import { labelledPrefixes, type PrefixIdentities } from '../identity/prefix-identities.ts';
import type { DesiredIpcache } from '../ipcache/desired-ipcache.ts';
import type { Commit, PolicyController } from './policy-controller.ts';

/** Brings the prefixes that policies name into engine and kernel, and takes them away again. */
export interface PolicyPrefixes {
  /** A commit of policies with the identities and addresses of all that they name. Throws RESOURCE_EXHAUSTED. */
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
  readonly controller: Pick<PolicyController, 'commit'>;
  readonly logger: Logger;
}

/** See {@link PolicyPrefixes}. */
export function createPolicyPrefixes(options: PolicyPrefixesOptions): PolicyPrefixes {
  const { identities, ipcache, controller, logger } = options;
  return {
    include(policy) {
      const { upsertPolicies = [], deletePolicies = [], upsertIdentities = [] } = policy;
      const named = identities.use({ upsert: upsertPolicies, delete: deletePolicies });
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
