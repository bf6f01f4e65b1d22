// SPDX-License-Identifier: Apache-2.0
// What a benchmark is made of: runs turn by turn, figures with a baseline, and network paths to measure.
export type { BenchPart, BenchSettings, Figure, Target } from './figure.ts';
export { type Fate, type FlowWatch, startFlowWatch } from './flow-watch.ts';
export { interleaved } from './interleaved.ts';
export { netbench, startNetbenchServer, type NetbenchResult, type NetbenchRun, type NetbenchTest } from './netbench.ts';
export { createKubeProxyPath, type KubeProxyMode, type KubeProxyPath } from './kube-proxy.ts';
export { createPlainOverlay } from './plain-overlay.ts';
export { createPlainPath, type PlainPath } from './plain-path.ts';
export { median, quantile } from './statistics.ts';
