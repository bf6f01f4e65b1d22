// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import type { ResourceWatch } from '@weir/kubernetes';
import type { ReconcileLoop } from './reconcile-loop.ts';

/** How it stands with Kubernetes. */
export interface KubernetesStatus {
  readonly server: string;
  /** Kinds that have not been listed yet, or of which nothing is heard; with the reason. */
  readonly unknown: readonly { readonly kind: string; readonly reason: string; readonly isSynced: boolean }[];
  /** Objects that are not in force as they are written. */
  readonly refused: readonly { readonly key: string; readonly reason: string }[];
  /** Why what is known cannot be brought into force. */
  readonly failure: WeirError | undefined;
}

/** What a status is made of. */
export interface StatusParts {
  readonly server: string;
  readonly watches: ReadonlyMap<string, Pick<ResourceWatch<unknown>, 'state' | 'isSynced'>>;
  readonly loops: readonly Pick<ReconcileLoop, 'refused' | 'failure'>[];
}

/** See {@link KubernetesStatus}. */
export const kubernetesStatus = ({ server, watches, loops }: StatusParts): KubernetesStatus => ({
  server,
  unknown: [...watches].flatMap(([kind, { state, isSynced }]) => {
    if (state.kind === 'retrying') return [{ kind, reason: state.error.message, isSynced }];
    return isSynced ? [] : [{ kind, reason: 'has not been listed yet', isSynced }];
  }),
  refused: loops.flatMap(({ refused }) => [...refused].map(([key, reason]) => ({ key, reason }))),
  failure: loops.map(({ failure }) => failure).find((failure) => failure !== undefined),
});

/** The error for something that waits: with what is missing. */
export function waitsFor(what: string, { server, unknown, failure }: KubernetesStatus): WeirError {
  const [first] = unknown;
  const reason = failure?.message ?? (first && `${first.kind}: ${first.reason}`) ?? `${server} does not tell of it`;
  return new WeirError('UNAVAILABLE', `${what}: ${reason}`);
}
