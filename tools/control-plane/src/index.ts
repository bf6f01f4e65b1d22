// SPDX-License-Identifier: Apache-2.0
// etcd and kube-apiserver, the real ones, on loopback, without nodes: for tests of what speaks to Kubernetes.
export { createControlPlane, controlPlaneSkipReason, type ControlPlane } from './control-plane.ts';
export { createCutter, type Cutter } from './cutter.ts';
export { until } from './until.ts';
