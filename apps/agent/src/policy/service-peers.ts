// SPDX-License-Identifier: Apache-2.0
import type { CancelTimer, Clock } from '@weir/clock';
import { serviceKey, type Service } from '@weir/model';
import type { Logger } from '@weir/telemetry';
import type { ServiceEvent } from '../service/service-controller.ts';
import type { PolicyController } from './policy-controller.ts';
import type { PolicyPrefixes } from './policy-prefixes.ts';
import type { ServiceReferences } from './service-references.ts';

/** Brings policies that name services (`toServices`) in line with what is behind these. */
export interface ServicePeers {
  /**
   * Takes in changes of services; resolves when policies follow them. Never rejects: what fails is logged, and tried again
   * every second, as policies are.
   */
  follow(events: readonly ServiceEvent[]): Promise<void>;
  close(): void;
}

export interface ServicePeersOptions {
  readonly references: Pick<ServiceReferences, 'changed' | 'distrust'>;
  readonly prefixes: PolicyPrefixes;
  readonly controller: Pick<PolicyController, 'commit'>;
  readonly service: (key: string) => Service | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

const retryDelayMs = 1_000;

/** See {@link ServicePeers}. */
export function createServicePeers(options: ServicePeersOptions): ServicePeers {
  const { references, prefixes, controller, service, clock, logger } = options;
  let failed = new Set<string>();
  let cancelRetry: CancelTimer | undefined;

  const retry = (): void => {
    cancelRetry = undefined;
    const keys = failed;
    failed = new Set();
    const events = [...keys].map((key): ServiceEvent => {
      const now = service(key);
      return now === undefined ? { kind: 'deleted', key } : { kind: 'upserted', service: now };
    });
    void follow(events);
  };

  const follow = async (events: readonly ServiceEvent[]): Promise<void> => {
    const update = references.changed(events);
    if (update === undefined) return;
    try {
      await controller.commit(prefixes.include(update));
    } catch (error) {
      const keys = [...(update.upsertServices ?? []), ...(update.deleteServices ?? [])].map(serviceKey);
      logger.error({ error, count: keys.length }, 'Policies do not follow a change of services yet');
      references.distrust(keys);
      for (const key of keys) failed.add(key);
      cancelRetry ??= clock.schedule(retryDelayMs, retry);
    }
    await prefixes.prune();
  };

  return { follow, close: () => cancelRetry?.() };
}
