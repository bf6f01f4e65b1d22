// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@weir/clock';
import { WeirError } from '@weir/errors';
import type { ResourceWatch } from '@weir/kubernetes';
import type { Logger } from '@weir/telemetry';
import type { NamespaceLabels } from '../endpoint/namespace-labels.ts';
import type { Namespaces } from '../endpoint/namespaces.ts';
import { createChangeWaiters } from './change-waiters.ts';
import { createReconcileLoop, type ReconcileLoop } from './reconcile-loop.ts';

/** Namespaces, by their names. */
export interface NamespaceSync extends ReconcileLoop {
  /** Call when these namespaces are different from before. */
  changed(keys: readonly string[]): void;
  /** Resolves when a namespace is known, and the labels that it has are in force. Rejects with the reason of the signal. */
  settled(namespace: string, signal: AbortSignal): Promise<void>;
}

export interface NamespaceSyncOptions {
  readonly watched: () => Pick<ResourceWatch<NamespaceLabels>, 'items' | 'isSynced'>;
  readonly namespaces: Pick<Namespaces, 'labelsOf' | 'list' | 'patch'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

const isSame = (a: NamespaceLabels, b: NamespaceLabels): boolean => {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
};

/** Gives namespaces the labels that Kubernetes says they have. One that Kubernetes does not have any more has none. */
export function createNamespaceSync({ watched, namespaces, clock, logger }: NamespaceSyncOptions): NamespaceSync {
  const waiters = createChangeWaiters();
  const bring = async (name: string): Promise<string | undefined> => {
    const before = namespaces.labelsOf(name);
    const labels = watched().items.get(name) ?? {};
    if (isSame(before, labels)) return undefined;
    const remove = Object.keys(before).filter((key) => !(key in labels));
    try {
      await namespaces.patch(name, { set: labels, remove });
      return undefined;
    } catch (thrown) {
      const error = WeirError.from(thrown);
      if (error.code === 'INVALID_ARGUMENT') return error.message;
      throw error;
    }
  };
  const reconcile = async (keys: ReadonlySet<string>): Promise<ReadonlyMap<string, string>> => {
    const refused = new Map<string, string>();
    // What is only known from before may be gone; that is known when everything has been listed.
    const known = watched().isSynced ? namespaces.list().map(([name]) => name) : [];
    const gone = known.filter((name) => !watched().items.has(name));
    for (const key of new Set([...keys, ...gone])) {
      const reason = await bring(key);
      if (reason !== undefined) refused.set(key, reason);
    }
    return refused;
  };
  const loop = createReconcileLoop({ name: 'namespaces', reconcile, clock, logger });
  return {
    ...{ touch: loop.touch, passed: loop.passed, refused: loop.refused, close: loop.close },
    get failure() {
      return loop.failure;
    },
    changed(keys) {
      waiters.wake();
      loop.touch(keys);
    },
    async settled(namespace, signal) {
      const labels = await waiters.until(() => watched().items.get(namespace), signal);
      if (!isSame(namespaces.labelsOf(namespace), labels)) await loop.passed(signal);
    },
  };
}
