// SPDX-License-Identifier: Apache-2.0
// A client of the Kubernetes API: requests with errors that say what was refused and why, and the objects of a kind kept
// known by list and watch through restarts of the server, compaction of its store, and connections that are cut.
export { openKubernetesAccess, type KubernetesAccess, type KubernetesAccessOptions } from './kubernetes-access.ts';
export { createKubernetesApi, type ApiRequest, type KubernetesApi } from './kubernetes-api.ts';
export { apiError, hasStatus } from './api-error.ts';
export {
  startResourceWatch,
  type ResourceWatch,
  type ResourceWatchOptions,
  type WatchedResource,
  type WatchState,
} from './resource-watch.ts';
export { kubernetesAccessFromFlags, kubernetesFlags, type KubernetesFlags } from './kubernetes-flags.ts';
