// SPDX-License-Identifier: Apache-2.0
import type { ClusterNode } from '@weir/identity-client';
import type { Logger } from '@weir/telemetry';
import { nodeRanges } from '../cluster/cluster-ranges.ts';
import type { NodeIdentities } from '../identity/node-identities.ts';
import type { DesiredIpcache } from '../ipcache/desired-ipcache.ts';
import type { PolicyController } from './policy-controller.ts';
import type { PolicyPrefixes } from './policy-prefixes.ts';

export interface PolicyNodesOptions {
  readonly prefixes: PolicyPrefixes;
  readonly identities: NodeIdentities;
  /** The other nodes that are known. */
  readonly others: () => readonly ClusterNode[];
  /** Told when nodes are known by other numbers: what is about to be written of them is to be worked out anew. */
  readonly onRenewed: () => void;
  readonly ipcache: DesiredIpcache;
  readonly controller: Pick<PolicyController, 'commit'>;
  readonly logger: Logger;
}

/** See {@link createPolicyNodes}. */
export interface PolicyNodes extends PolicyPrefixes {
  /** Takes away what no node is known as any more, and nothing else. Called when nodes have changed. */
  pruneNodes(): Promise<void>;
}

/**
 * Brings into engine and kernel, besides the prefixes that policies name, nodes by the labels that policies tell them apart
 * by: with the commit of the policies. What no node is known as any more goes after them.
 */
export function createPolicyNodes(options: PolicyNodesOptions): PolicyNodes {
  const { prefixes, identities, others, onRenewed, ipcache, controller, logger } = options;
  const pruneNodes = async (): Promise<void> => {
    const unused = identities.unused(others());
    if (unused.length === 0) return;
    // Taken back at once: whoever wants one of them meanwhile gets another number.
    identities.forget(unused);
    try {
      await controller.commit({ policy: { deleteIdentities: unused } });
    } catch (error) {
      logger.error({ error, count: unused.length }, 'Identities that no node has could not be taken away everywhere');
    }
  };
  return {
    include(update) {
      const commit = prefixes.include(update);
      const { upsertPolicies = [], deletePolicies = [] } = update;
      if (!identities.use({ upsert: upsertPolicies, delete: deletePolicies })) return commit;
      const ranges = others().flatMap((node) => nodeRanges(node, identities.numberOf(node)));
      onRenewed();
      const { policy, datapath } = commit;
      return {
        policy: { ...policy, upsertIdentities: [...(policy?.upsertIdentities ?? []), ...identities.takeNew()] },
        datapath() {
          const places = datapath?.();
          const { ipcache: entries, ipcacheRemoved } = ipcache.change({ upsert: ranges });
          return {
            ...places,
            ipcache: [...(places?.ipcache ?? []), ...entries],
            ipcacheRemoved: [...(places?.ipcacheRemoved ?? []), ...ipcacheRemoved],
          };
        },
      };
    },
    async prune() {
      await prefixes.prune();
      await pruneNodes();
    },
    pruneNodes,
  };
}
