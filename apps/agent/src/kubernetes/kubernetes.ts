// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@weir/clock';
import { type KubernetesApi, type ResourceWatch, startResourceWatch, type WatchedResource } from '@weir/kubernetes';
import type { Logger } from '@weir/telemetry';
import type { CniRequest } from '../cni/cni-request.ts';
import { kubernetesStatus, type KubernetesStatus, waitsFor } from './kubernetes-status.ts';
import { createNamespaceSync, type NamespaceSyncOptions } from './namespace-sync.ts';
import { createPodSync, descriptionOf, type PodSyncOptions } from './pod-sync.ts';
import { policyResources } from './policy-object.ts';
import { createPolicySync, policyKeys, type PolicySyncOptions } from './policy-sync.ts';
import { endpointResource, namespaceResource, podResource, policyResource, serviceResource } from './resources.ts';
import { createServiceSync, type ServiceSyncOptions } from './service-sync.ts';

/** What the agent has of Kubernetes. */
export interface Kubernetes {
  /**
   * A call that makes an endpoint, with what Kubernetes says of its pod. Waits until everything that policies look at is in
   * force as Kubernetes has it, and for the pod itself; rejects with UNAVAILABLE that says what is missing.
   */
  describe(request: CniRequest): Promise<CniRequest>;
  /** Call when an endpoint has been made: what became different meanwhile is caught up with. */
  added(request: CniRequest): void;
  status(): KubernetesStatus;
  stop(): Promise<void>;
}

export interface KubernetesOptions
  extends
    Pick<NamespaceSyncOptions, 'namespaces'>,
    Pick<PolicySyncOptions, 'policies' | 'engine'>,
    Pick<ServiceSyncOptions, 'node'>,
    Pick<PodSyncOptions, 'table' | 'manager'> {
  readonly api: KubernetesApi;
  readonly services: ServiceSyncOptions['controller'];
  readonly clock: Clock;
  readonly logger: Logger;
  /** How long making an endpoint waits for what Kubernetes has to say. */
  readonly describeTimeoutMs?: number;
}

const describeTimeoutMsDefault = 20_000;

/** What is followed, and what brings it into force. */
function followObjects(options: KubernetesOptions) {
  const { api, clock, logger, node } = options;
  const common = { clock, logger };
  const watch = <Item>(resource: WatchedResource<Item>, onChange: (keys: readonly string[]) => void) =>
    startResourceWatch({ ...common, api, resource, onChange });

  const namespaceLoop = createNamespaceSync({ ...options, watched: () => namespaces });
  const policyLoop = createPolicySync({ ...options, watched: () => policies });
  const serviceLoop = createServiceSync({
    ...{ ...common, node, controller: options.services },
    ...{ services: () => services, endpoints: () => endpoints },
  });
  const podLoop = createPodSync({ ...options, pods: () => pods.items });

  const namespaces = watch(namespaceResource, namespaceLoop.changed);
  const policies = policyResources.map((resource) => ({
    resource,
    watch: watch(policyResource(resource), (keys) => policyLoop.touch(policyKeys(resource, keys))),
  }));
  const services = watch(serviceResource, serviceLoop.touch);
  const endpoints = watch(endpointResource(api), serviceLoop.endpointsChanged);
  const pods = watch(podResource(node), podLoop.changed);

  const ofPolicies = policies.map(({ resource, watch: each }) => [resource.plural, each] as const);
  const watches = new Map<string, ResourceWatch<unknown>>([['namespaces', namespaces], ...ofPolicies]);
  watches.set('services', services).set('endpoints', endpoints).set('pods', pods);
  const loops = [namespaceLoop, policyLoop, serviceLoop, podLoop] as const;
  return { namespaceLoop, serviceLoop, podLoop, services, watches, loops };
}

/** Starts to follow Kubernetes; endpoints must have been restored. */
export function startKubernetes(options: KubernetesOptions): Kubernetes {
  const { api, logger } = options;
  const { namespaceLoop, serviceLoop, podLoop, services, watches, loops } = followObjects(options);
  const status = (): KubernetesStatus => kubernetesStatus({ server: api.server, watches, loops });

  let isReady = false;
  const ready = (async () => {
    await Promise.all([...watches.values()].map((each) => each.whenSynced()));
    // Also those that nothing is behind.
    serviceLoop.touch(services.items.keys());
    await Promise.all(loops.map((loop) => loop.passed()));
    isReady = true;
    const count = [...watches.values()].reduce((sum, { items }) => sum + items.size, 0);
    logger.info({ address: api.server, count }, 'What Kubernetes has is in force');
  })();

  return {
    async describe(request) {
      const { namespace, pod } = request;
      const name = `${namespace}/${pod}`;
      const late = AbortSignal.timeout(options.describeTimeoutMs ?? describeTimeoutMsDefault);
      const until = <Found>(task: Promise<Found>, what: string): Promise<Found> =>
        unlessAborted(task, late).catch(() => {
          throw waitsFor(what, status());
        });
      if (!isReady) await until(ready, `The pod "${name}" waits for what Kubernetes has`);
      const found = await until(podLoop.find(request, late), `Kubernetes has no pod "${name}" on this node`);
      await until(namespaceLoop.settled(namespace, late), `The pod "${name}" waits for the labels of its namespace`);
      return { ...request, ...descriptionOf(found) };
    },
    added: ({ namespace, pod }) => podLoop.touch([`${namespace}/${pod}`]),
    status,
    async stop() {
      for (const loop of loops) loop.close();
      await Promise.all([...watches.values()].map((each) => each.stop()));
    },
  };
}

/** The task's outcome, or the signal's reason if that comes first. */
async function unlessAborted<Result>(task: Promise<Result>, signal: AbortSignal): Promise<Result> {
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  return Promise.race([task, aborted.promise]).finally(() => signal.removeEventListener('abort', onAbort));
}
