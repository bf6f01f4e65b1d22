// SPDX-License-Identifier: Apache-2.0
import type { ClusterClient } from '@weir/identity-client';
import type { PolicyEngine } from '@weir/policy';
import type { EndpointTable } from '../endpoint/endpoint-table.ts';
import { hostSubject } from '../host/host-policy.ts';
import type { IdentityDirectory } from '../identity/identity-source.ts';
import type { PolicyTranslation } from '../policy/policy-translation.ts';
import {
  cookieChange,
  defaultDenyChange,
  endpointChange,
  identityChange,
  remotePodChanges,
  ruleSetChange,
  serviceChange,
} from './names-feed.ts';
import type { ServiceController } from '../service/service-controller.ts';
import type { NameChange } from './thread-messages.ts';

export interface SnapshotParts {
  readonly table: Pick<EndpointTable, 'list' | 'subjectsInUse'>;
  readonly identities: Pick<IdentityDirectory, 'all'>;
  readonly cluster: { readonly client: Pick<ClusterClient, 'endpoints'> };
  readonly engine: Pick<PolicyEngine, 'policiesInDefaultDeny'>;
  readonly services: Pick<ServiceController, 'list'>;
  readonly translation: Pick<PolicyTranslation, 'cookies' | 'ruleSets'>;
}

/** All that flows are named by, as it is now: for a thread that starts. */
export function namesSnapshot(parts: SnapshotParts): NameChange[] {
  const { table, identities, cluster, engine, translation, services } = parts;
  const denies = [hostSubject, ...table.subjectsInUse()].flatMap((subject) => {
    try {
      return [defaultDenyChange(engine, subject)];
    } catch {
      // It is about to become a subject, and is told of then.
      return [];
    }
  });
  return [
    ...[...identities.all()].map(([identity, labels]) => identityChange(identity, labels)),
    ...table.list().map(endpointChange),
    ...remotePodChanges({ endpoints: [...cluster.client.endpoints], deletedEndpoints: [] }),
    ...[...translation.cookies.entries()].map(([number, origins]) => cookieChange(number, origins)),
    ...[...translation.ruleSets.entries()].map(([number, { origins }]) => ruleSetChange(number, origins)),
    ...services.list().map((service) => serviceChange({ kind: 'upserted', service })),
    ...denies,
  ];
}
