// SPDX-License-Identifier: Apache-2.0
// A program file of its own, in bundles too: it is larger than everything else together, and not everybody speaks to Kubernetes.
export { KubeConfig } from '@kubernetes/client-node';
