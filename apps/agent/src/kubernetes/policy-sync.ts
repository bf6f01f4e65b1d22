// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@weir/clock';
import type { ResourceWatch } from '@weir/kubernetes';
import type { PolicyEngine, PolicyFile } from '@weir/policy';
import type { Logger } from '@weir/telemetry';
import type { PolicyService } from '../policy/policy-service.ts';
import { policyKeyOf, type PolicyResource } from './policy-object.ts';
import { createReconcileLoop, type ReconcileLoop } from './reconcile-loop.ts';

/** The policies of one kind that Kubernetes has, as text. */
export interface WatchedPolicies {
  readonly resource: PolicyResource;
  readonly watch: Pick<ResourceWatch<string>, 'items' | 'isSynced'>;
}

export interface PolicySyncOptions {
  readonly watched: () => readonly WatchedPolicies[];
  readonly policies: Pick<PolicyService, 'sync'>;
  readonly engine: Pick<PolicyEngine, 'policies'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Brings the policies that Kubernetes has into force; keys are those of policies. One that cannot be understood does not keep
 * the others waiting, and what it was before stays in force.
 */
export function createPolicySync({ watched, policies, engine, clock, logger }: PolicySyncOptions): ReconcileLoop {
  const textOf = (key: string): string | undefined => {
    for (const { resource, watch } of watched()) {
      const prefix = `${resource.kind}/`;
      if (key.startsWith(prefix)) return watch.items.get(key.slice(prefix.length).replace(/^\//, ''));
    }
    return undefined;
  };

  /** What an agent before knew and Kubernetes does not have any more; known for a kind when all of it has been listed. */
  const stale = (): string[] => {
    const present = new Map(watched().map(({ resource, watch }) => [resource.kind as string, watch]));
    return engine.policies().flatMap(({ key, kind, owner }) => {
      const isGone = owner === 'kubernetes' && present.get(kind)?.isSynced === true && textOf(key) === undefined;
      return isGone ? [key] : [];
    });
  };

  const reconcile = async (keys: ReadonlySet<string>): Promise<ReadonlyMap<string, string>> => {
    const files: PolicyFile[] = [];
    for (const key of keys) {
      const content = textOf(key);
      if (content !== undefined) files.push({ name: key, content });
    }
    return policies.sync({ owner: 'kubernetes', files, deleteKeys: stale() });
  };
  return createReconcileLoop({ name: 'policies', reconcile, clock, logger });
}

/** Keys of policies for keys of objects. */
export const policyKeys = ({ kind }: PolicyResource, objectKeys: readonly string[]): string[] =>
  objectKeys.map((key) => policyKeyOf(kind, key));
