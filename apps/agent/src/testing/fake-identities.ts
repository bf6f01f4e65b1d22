// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import type { LabelSet } from '@weir/model';
import type { IdentitySource } from '../identity/identity-source.ts';

/** An allocator in memory. */
export interface FakeIdentities extends IdentitySource {
  /** Identities in use, with the number of their users. */
  held(): Readonly<Record<number, number>>;
  /** From now on unknown label sets wait. */
  goAway(): void;
  /** Whoever waits gets a number. */
  comeBack(): void;
  readonly waitingCount: number;
  /** Who asks from now on is told of nothing that was known. */
  forget(): void;
  /** Gives a label set another number, as the allocator does after it has lost its store. */
  renumber(labels: LabelSet): { readonly labels: LabelSet; readonly from: number; readonly to: number };
}

/** Numbers from 256 in the order of asking; the same ones for a label set for good. */
export function createFakeIdentities(): FakeIdentities {
  const numbers = new Map<string, number>();
  const labelSets = new Map<number, LabelSet>();
  const users = new Map<string, number>();
  const waiting = new Set<() => void>();
  let isAway = false;
  let next = 256;

  const give = (labels: LabelSet): number => {
    const known = numbers.get(labels.key);
    const id = known ?? next++;
    numbers.set(labels.key, id);
    labelSets.set(id, labels);
    users.set(labels.key, (users.get(labels.key) ?? 0) + 1);
    return id;
  };

  return {
    take: (labels, signal) =>
      new Promise((resolve, reject) => {
        if (!isAway || numbers.has(labels.key)) return resolve(give(labels));
        const go = (): void => {
          waiting.delete(go);
          resolve(give(labels));
        };
        waiting.add(go);
        signal?.addEventListener('abort', () => {
          if (waiting.delete(go)) reject(WeirError.from(signal.reason, 'CANCELLED'));
        });
      }),
    release(id) {
      const key = labelSets.get(id)?.key ?? '';
      const count = users.get(key) ?? 0;
      if (count === 0) throw new WeirError('INTERNAL', `identity ${id} is released more often than it was taken`);
      users.set(key, count - 1);
    },
    recall(id, labels) {
      if (numbers.has(labels.key) || labelSets.has(id)) return;
      numbers.set(labels.key, id);
      labelSets.set(id, labels);
    },
    labelsOf: (id) => labelSets.get(id),
    held: () =>
      Object.fromEntries(
        [...users].filter(([, count]) => count > 0).map(([key, count]) => [numbers.get(key) ?? 0, count]),
      ),
    goAway: () => (isAway = true),
    comeBack() {
      isAway = false;
      for (const go of [...waiting]) go();
    },
    forget() {
      numbers.clear();
      labelSets.clear();
      users.clear();
    },
    get waitingCount() {
      return waiting.size;
    },
    renumber(labels) {
      const from = numbers.get(labels.key) ?? 0;
      const to = next++;
      numbers.set(labels.key, to);
      labelSets.set(to, labels);
      return { labels, from, to };
    },
  };
}
