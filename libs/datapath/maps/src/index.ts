// SPDX-License-Identifier: Apache-2.0
// The datapath in domain terms: what the agent asks of the kernel, without how. No I/O.
export type {
  DatapathChange,
  DatapathEndpoint,
  IpcacheMapEntry,
  PolicyContent,
  PolicyMapEntry,
  PolicyPatch,
} from './change.ts';
export type { Connection, Datapath, EventBatch, EventLoss, TrafficCount } from './datapath.ts';
