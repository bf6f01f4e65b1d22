// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@weir/clock';
import type { WeirError } from '@weir/errors';
import type { ResourceWatch } from '@weir/kubernetes';
import { type Service, serviceKey } from '@weir/model';
import type { Logger } from '@weir/telemetry';
import type { ServiceController, ServiceResult } from '../service/service-controller.ts';
import type { ServiceEndpoints } from './endpoint-group.ts';
import { createReconcileLoop, type ReconcileLoop } from './reconcile-loop.ts';
import { renderService } from './render-service.ts';
import type { KubernetesService } from './service-object.ts';

/** Services, by their keys. */
export interface ServiceSync extends ReconcileLoop {
  /** Call when what is behind services is different: with the keys of the objects that say so. */
  endpointsChanged(keys: readonly string[]): void;
}

export interface ServiceSyncOptions {
  readonly services: () => Pick<ResourceWatch<KubernetesService>, 'items' | 'isSynced'>;
  readonly endpoints: () => Pick<ResourceWatch<ServiceEndpoints>, 'items' | 'isSynced'>;
  readonly controller: Pick<ServiceController, 'upsert' | 'delete' | 'get' | 'list'>;
  readonly node: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Which objects say what is behind a service. */
function createEndpointIndex(items: () => ReadonlyMap<string, ServiceEndpoints>) {
  const serviceOf = new Map<string, string>();
  const byService = new Map<string, Set<string>>();
  return {
    /** Takes note of changed objects; returns the services that they are, or were, about. */
    update(keys: readonly string[]): Set<string> {
      const concerned = new Set<string>();
      for (const key of keys) {
        const before = serviceOf.get(key);
        const now = items().get(key)?.service;
        for (const service of [before, now]) if (service !== undefined) concerned.add(service);
        if (before === now) continue;
        if (before !== undefined) {
          const rest = byService.get(before);
          rest?.delete(key);
          if (rest?.size === 0) byService.delete(before);
        }
        if (now === undefined) serviceOf.delete(key);
        else {
          serviceOf.set(key, now);
          byService.set(now, (byService.get(now) ?? new Set()).add(key));
        }
      }
      return concerned;
    },
    of: (service: string): readonly ServiceEndpoints[] =>
      [...(byService.get(service) ?? [])].flatMap((key) => items().get(key) ?? []),
  };
}

/** Whether trying again changes nothing, unless something else does. */
const isLasting = ({ code }: WeirError): boolean =>
  ['INVALID_ARGUMENT', 'ALREADY_EXISTS', 'FAILED_PRECONDITION'].includes(code);

/** An address may go from one service to another in one batch, in which they come in any order. */
async function upsertTwice(
  controller: ServiceSyncOptions['controller'],
  services: readonly Service[],
): Promise<readonly ServiceResult[]> {
  const results = await controller.upsert(services);
  const clashed = new Set(results.flatMap(({ key, error }) => (error?.code === 'ALREADY_EXISTS' ? [key] : [])));
  if (clashed.size === 0) return results;
  const again = await controller.upsert(services.filter((service) => clashed.has(serviceKey(service))));
  return [...results.filter(({ key }) => !clashed.has(key)), ...again];
}

/** Brings services with what is behind them into force. */
export function createServiceSync(options: ServiceSyncOptions): ServiceSync {
  const { controller, node, clock, logger } = options;
  const index = createEndpointIndex(() => options.endpoints().items);
  const isOurs = (service: Service | undefined): boolean => service?.owner === 'kubernetes';

  /** What an agent before knew and Kubernetes does not have any more; known when all of them have been listed. */
  const stale = (): string[] =>
    options.services().isSynced
      ? controller.list().flatMap((service) => {
          const key = serviceKey(service);
          return isOurs(service) && !options.services().items.has(key) ? [key] : [];
        })
      : [];

  const reconcile = async (keys: ReadonlySet<string>): Promise<ReadonlyMap<string, string>> => {
    const refused = new Map<string, string>();
    // A service is not known without what is behind it: what an agent before knew of that stays in force until then.
    if (!options.services().isSynced || !options.endpoints().isSynced) return refused;
    // What was refused may have become possible by what others are now.
    const wanted = [...new Set([...keys, ...loop.refused.keys()])].flatMap((key) => {
      const service = options.services().items.get(key);
      if (service === undefined) return [];
      const groups = index.of(key).flatMap((each) => each.groups);
      const { service: rendered, leftOut } = renderService(service, { groups, node });
      if (leftOut !== undefined) refused.set(key, leftOut);
      return [rendered];
    });
    const deleted = await controller.delete(stale(), 'kubernetes');
    const results = await upsertTwice(controller, wanted);
    for (const { key, error } of [...deleted, ...results]) {
      if (error === undefined || error.code === 'NOT_FOUND') continue;
      if (!isLasting(error)) throw error;
      refused.set(key, error.message);
    }
    return refused;
  };

  const loop = createReconcileLoop({ name: 'services', reconcile, clock, logger });
  return {
    ...{ touch: loop.touch, passed: loop.passed, refused: loop.refused, close: loop.close },
    get failure() {
      return loop.failure;
    },
    endpointsChanged: (keys) => loop.touch(index.update(keys)),
  };
}
