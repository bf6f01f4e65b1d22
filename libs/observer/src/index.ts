// SPDX-License-Identifier: Apache-2.0
// The last events of a node, and Hubble's observer and peer services over them. Knows nothing of what a record means: whoever
// keeps the ring says how a flow is read from it.
export { createEventRing, type EventRing, type RecordKind, recordKind } from './event-ring.ts';
export { createObserver, type Observer, type ObserverOptions } from './observer-service.ts';
export { nodeServerName, relayServerName } from './server-names.ts';
export { createPeers, type PeerNode, type Peers } from './peer-service.ts';

/** What the `hubble` command line asks the health service for. */
export const observerHealthName = 'hubble.server.Observer';

// For benchmarks and for whoever writes flows by himself.
export { createFlowEncoder, type FlowEncoder } from './flow-encoder.ts';
export { isFlowKind } from './flow-query.ts';
export { flowLogFlags, flowLogFromFlags, type FlowLogFlags } from './flow-log-flags.ts';
export { createFlowLog, type FlowLog, type FlowLogOptions } from './flow-log.ts';
export { countFlows, type CountFlowsOptions } from './count-flows.ts';
export { flowMetricsFlags, type FlowMetricsFlags } from './flow-metrics-flags.ts';
export {
  createFlowMetrics,
  flowContexts,
  flowMetricGroups,
  type FlowContext,
  type FlowMetrics,
  type FlowMetricsOptions,
} from './flow-metrics.ts';
