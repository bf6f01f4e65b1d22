// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { podLabels } from '@weir/model';
import type { EndpointManager, LabelPatch } from './endpoint-manager.ts';
import type { NamespaceLabels, NamespaceLabelTable } from './namespace-labels.ts';

/** The namespaces that pods of the node are in, and may come to be in. */
export interface Namespaces extends Pick<NamespaceLabelTable, 'labelsOf' | 'list'> {
  /**
   * Changes the labels of a namespace, and with them those of its pods; returns them. Resolves when what they allow and
   * forbid is in force; rejects with the old ones in force, with INVALID_ARGUMENT when they cannot be labels.
   */
  patch(namespace: string, patch: LabelPatch): Promise<NamespaceLabels>;
}

export interface NamespacesOptions {
  readonly labels: NamespaceLabelTable;
  readonly manager: Pick<EndpointManager, 'renewLabels'>;
}

const labelsMax = 128;
// As Kubernetes has it: a DNS label.
const namePattern = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

function check(namespace: string, labels: NamespaceLabels): void {
  if (!namePattern.test(namespace)) {
    throw new WeirError('INVALID_ARGUMENT', `namespace: "${namespace}" is not the name of a namespace`);
  }
  const count = Object.keys(labels).length;
  if (count > labelsMax) {
    throw new WeirError('INVALID_ARGUMENT', `A namespace has at most ${labelsMax} labels; found ${count}`);
  }
  podLabels({ namespace, labels: {}, namespaceLabels: labels });
}

/** See {@link Namespaces}. Changes are made one after the other. */
export function createNamespaces({ labels, manager }: NamespacesOptions): Namespaces {
  let last: Promise<unknown> = Promise.resolve();

  // On disk first: a restart in between brings the pods there.
  const bring = async (namespace: string, wanted: NamespaceLabels): Promise<void> => {
    await labels.put(namespace, wanted);
    await manager.renewLabels(namespace);
  };

  const change = async (namespace: string, { set, remove }: LabelPatch): Promise<NamespaceLabels> => {
    const before = labels.labelsOf(namespace);
    const kept = Object.entries(before).filter(([key]) => !remove.includes(key));
    const wanted = { ...Object.fromEntries(kept), ...set };
    check(namespace, wanted);
    try {
      await bring(namespace, wanted);
    } catch (error) {
      await bring(namespace, before).catch(() => undefined);
      throw error;
    }
    return wanted;
  };

  return {
    labelsOf: labels.labelsOf,
    list: labels.list,
    patch(namespace, patch) {
      const run = last.then(() => change(namespace, patch));
      last = run.catch(() => undefined);
      return run;
    },
  };
}
