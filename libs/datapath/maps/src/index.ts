// SPDX-License-Identifier: Apache-2.0
// The datapath in domain terms: what the agent asks of the kernel, without how. No I/O.
export type {
  DatapathChange,
  DatapathEndpoint,
  DatapathHost,
  DatapathNode,
  IpcacheMapEntry,
  PolicyContent,
  PolicyMapEntry,
  PolicyMapKey,
  PolicyPatch,
} from './change.ts';
export type { Connection, Datapath, EventBatch, EventLoss, MapUse, RuleTraffic, TrafficCount } from './datapath.ts';
export type {
  MasqueradeCounts,
  MasqueradeDatapath,
  MasqueradedFlow,
  MasqueradeRange,
  UplinkAddresses,
} from './masquerade.ts';
export {
  frontendName,
  slotNumber,
  slotPlace,
  type BackendRow,
  type BackendTraffic,
  type FrontendAddress,
  type FrontendRow,
  type PoolRow,
  type ServiceChange,
  type ServiceDatapath,
  type ServiceLimits,
  type ServiceRows,
  type ServiceSocket,
  type SlotRow,
} from './services.ts';
