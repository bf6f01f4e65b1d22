// SPDX-License-Identifier: Apache-2.0
import type {
  KubernetesObject,
  V1Endpoints,
  V1EndpointSlice,
  V1Namespace,
  V1Pod,
  V1Service,
} from '@kubernetes/client-node';
import { hasStatus, type KubernetesApi, type WatchedResource } from '@weir/kubernetes';
import type { NamespaceLabels } from '../endpoint/namespace-labels.ts';
import { readEndpoints, readEndpointSlice, type ServiceEndpoints } from './endpoint-group.ts';
import { type KubernetesPod, readPod } from './pod.ts';
import { type PolicyResource, readPolicyObject } from './policy-object.ts';
import { type KubernetesService, readService } from './service-object.ts';

/** Namespaces, by their labels. */
export const namespaceResource: WatchedResource<NamespaceLabels> = {
  ...{ name: 'namespaces', path: '/api/v1/namespaces' },
  read: (object) => (object as V1Namespace).metadata?.labels ?? {},
};

/** The pods that Kubernetes has put on a node. */
export const podResource = (node: string): WatchedResource<KubernetesPod> => ({
  ...{ name: 'pods', path: '/api/v1/pods', fieldSelector: `spec.nodeName=${node}` },
  read: (object) => readPod(object as V1Pod),
});

/** Policies of a kind, as text. */
export const policyResource = (resource: PolicyResource): WatchedResource<string> => ({
  ...{ name: resource.plural, path: `/apis/${resource.apiVersion}/${resource.plural}`, isOptional: resource.isCustom },
  read: (object) => readPolicyObject(object as KubernetesObject, resource),
});

/** Services with addresses of their own. */
export const serviceResource: WatchedResource<KubernetesService> = {
  ...{ name: 'services', path: '/api/v1/services' },
  read: (object) => readService(object as V1Service),
};

interface ApiGroup {
  readonly versions?: readonly { readonly groupVersion: string }[];
}

/** Where a server says what is behind services: in slices, or in what there was before them. */
async function endpointPath(api: KubernetesApi): Promise<string> {
  let group: ApiGroup = {};
  try {
    group = await api.request<ApiGroup>({ path: '/apis/discovery.k8s.io' });
  } catch (error) {
    if (!hasStatus(error, 404)) throw error;
  }
  const served = (group.versions ?? []).map(({ groupVersion }) => groupVersion);
  const version = ['discovery.k8s.io/v1', 'discovery.k8s.io/v1beta1'].find((each) => served.includes(each));
  return version === undefined ? '/api/v1/endpoints' : `/apis/${version}/endpointslices`;
}

/** What is behind services. */
export const endpointResource = (api: KubernetesApi): WatchedResource<ServiceEndpoints> => ({
  ...{ name: 'endpoints', path: () => endpointPath(api) },
  read: (object) =>
    'addressType' in (object as object)
      ? readEndpointSlice(object as V1EndpointSlice)
      : readEndpoints(object as V1Endpoints),
});
