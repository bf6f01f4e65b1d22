// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@weir/clock';
import { WeirError } from '@weir/errors';
import type { ResourceWatch } from '@weir/kubernetes';
import type { Logger } from '@weir/telemetry';
import type { EndpointDescription, EndpointManager } from '../endpoint/endpoint-manager.ts';
import type { EndpointTable } from '../endpoint/endpoint-table.ts';
import { createChangeWaiters } from './change-waiters.ts';
import type { KubernetesPod } from './pod.ts';
import { createReconcileLoop, type ReconcileLoop } from './reconcile-loop.ts';

/** A pod as a container runtime names it. */
export interface PodName {
  readonly namespace: string;
  readonly pod: string;
  /** Undefined: the runtime does not tell. */
  readonly podUid?: string | undefined;
}

/** The pods of this node. */
export interface PodSync extends Pick<ReconcileLoop, 'touch' | 'passed' | 'refused' | 'failure' | 'close'> {
  /** Call when these pods are different from before. */
  changed(keys: readonly string[]): void;
  /** Waits for a pod that the runtime knows of before we do. Rejects with the reason of the signal. */
  find(name: PodName, signal: AbortSignal): Promise<KubernetesPod>;
}

export interface PodSyncOptions {
  readonly pods: () => ResourceWatch<KubernetesPod>['items'];
  readonly table: EndpointTable;
  readonly manager: Pick<EndpointManager, 'describe'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

const keyOf = ({ namespace, pod }: Pick<PodName, 'namespace' | 'pod'>): string => `${namespace}/${pod}`;

/** What Kubernetes says an endpoint is. */
export const descriptionOf = ({ labels, serviceAccount, namedPorts }: KubernetesPod): EndpointDescription => ({
  ...{ labels, serviceAccount, namedPorts },
});

/** Keeps endpoints described as their pods are. */
export function createPodSync({ pods, table, manager, clock, logger }: PodSyncOptions): PodSync {
  const waiters = createChangeWaiters();

  const reconcile = async (keys: ReadonlySet<string>): Promise<ReadonlyMap<string, string>> => {
    const refused = new Map<string, string>();
    const concerned = table.list().flatMap(({ record }) => {
      const key = keyOf(record);
      const pod = keys.has(key) ? pods().get(key) : undefined;
      return pod === undefined ? [] : [{ key, id: record.id, pod }];
    });
    await Promise.all(
      concerned.map(async ({ key, id, pod }) => {
        try {
          await manager.describe(id, descriptionOf(pod));
        } catch (thrown) {
          const error = WeirError.from(thrown);
          // It is going, or the agent is.
          if (['NOT_FOUND', 'CANCELLED', 'FAILED_PRECONDITION'].includes(error.code)) return;
          if (error.code !== 'INVALID_ARGUMENT') throw error;
          refused.set(key, error.message);
        }
      }),
    );
    return refused;
  };
  const loop = createReconcileLoop({ name: 'pods', reconcile, clock, logger });

  const known = (name: PodName): KubernetesPod | undefined => {
    const pod = pods().get(keyOf(name));
    // The one before of the same name is not meant.
    return name.podUid === undefined || pod?.uid === name.podUid ? pod : undefined;
  };

  return {
    ...{ touch: loop.touch, passed: loop.passed, refused: loop.refused, close: loop.close },
    get failure() {
      return loop.failure;
    },
    changed(keys) {
      waiters.wake();
      loop.touch(keys);
    },
    find: (name, signal) => waiters.until(() => known(name), signal),
  };
}
