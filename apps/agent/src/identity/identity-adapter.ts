// SPDX-License-Identifier: Apache-2.0
import type { IdentityClient, IdentityEvents } from '@weir/identity-client';
import { reservedIdentities } from '@weir/model';
import type { PrefixIdentities } from './prefix-identities.ts';
import type { IdentityDirectory, IdentitySource } from './identity-source.ts';

/** The identities of the cluster as the agent's features want them: with the reserved ones, and with this node's own. */
export function createIdentitySource(
  client: IdentityClient,
  ...own: readonly Pick<PrefixIdentities, 'labelsOf' | 'all'>[]
): IdentitySource & IdentityDirectory {
  return {
    take: (labels, signal) => client.allocate(labels, signal === undefined ? {} : { signal }),
    release: (identity) => client.release(identity),
    recall: (id, labels) => client.recall({ id, labels }),
    labelsOf: (identity) =>
      reservedIdentities.get(identity) ??
      client.labelsOf(identity) ??
      own.map((each) => each.labelsOf(identity)).find((labels) => labels !== undefined),
    waitingReason: (labels) => client.status().waiting.find((each) => each.labels.key === labels.key)?.reason,
    *all() {
      for (const { id, labels } of client.identities()) yield [id, labels] as const;
      for (const each of own) yield* each.all();
    },
  };
}

/** Collects what becomes known and what is forgotten, and hands it over together at the end of the turn. */
export function createIdentityFeed(
  onChanges: (changes: {
    readonly upserted: Parameters<NonNullable<IdentityEvents['onUpsert']>>[0][];
    readonly deleted: number[];
  }) => void,
): Pick<Required<IdentityEvents>, 'onUpsert' | 'onDelete'> {
  let upserted = new Map<number, Parameters<NonNullable<IdentityEvents['onUpsert']>>[0]>();
  let deleted = new Set<number>();
  let scheduled = false;
  const later = (): void => {
    if (scheduled) return;
    scheduled = true;
    setImmediate(() => {
      scheduled = false;
      const changes = { upserted: [...upserted.values()], deleted: [...deleted] };
      upserted = new Map();
      deleted = new Set();
      onChanges(changes);
    });
  };
  return {
    onUpsert(identity) {
      deleted.delete(identity.id);
      upserted.set(identity.id, identity);
      later();
    },
    onDelete(id) {
      upserted.delete(id);
      deleted.add(id);
      later();
    },
  };
}
