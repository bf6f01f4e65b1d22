// SPDX-License-Identifier: Apache-2.0
import type { CtEntry, CtKey } from '@weir/datapath-layout';
import type { MasqueradeDatapath } from './masquerade.ts';
import type { ServiceDatapath } from './services.ts';
import type { DatapathChange, DatapathEndpoint, DatapathNode, IpcacheMapEntry, PolicyMapEntry } from './change.ts';

/** A conntrack entry with its key. */
export interface Connection {
  readonly key: CtKey;
  readonly entry: CtEntry;
}

/** What the programs counted for one reason (0: forwarded) in one direction, summed over all CPUs. */
export interface TrafficCount {
  readonly reason: number;
  readonly direction: number;
  readonly packets: number;
  readonly bytes: number;
}

/** What the rules behind a cookie decided on, in both directions of their flows, summed over all CPUs. */
export interface RuleTraffic {
  readonly cookie: number;
  readonly packets: number;
  readonly bytes: number;
}

/** How full a map is. */
export interface MapUse {
  readonly map: string;
  readonly entries: number;
  readonly entriesMax: number;
}

/** Events that the programs could not send. */
export interface EventLoss {
  readonly rateLimited: number;
  readonly ringFull: number;
}

/** A batch of `struct event` records: decode with the layout's `event` codec at each offset; valid during the call. */
export interface EventBatch {
  readonly view: DataView;
  /** Where the records begin, in bytes; `count` of them count. */
  readonly offsets: Uint32Array;
  readonly count: number;
  /** Records that were read from the ring but could not be kept for JavaScript, since the last batch. */
  readonly lost: number;
}

/**
 * The kernel as the agent's features see it. There are two: the real one (`datapath-loader`) and, for tests of what stands
 * above it, one in memory (`createMemoryDatapath`).
 */
export interface Datapath {
  readonly services: ServiceDatapath;
  readonly masquerade: MasqueradeDatapath;
  /**
   * Applies a change in an order that never lets through what neither the old state nor the new one would, and bumps the
   * revision as the last step, so that running flows are judged anew. Idempotent: what is there already is not written.
   *
   * Changes are applied one after the other. Rejects with RESOURCE_EXHAUSTED, which names the map, when one is full; then
   * everything is as it was.
   */
  apply(change: DatapathChange): Promise<void>;
  /** Attaches the programs of the node itself: to `weir_net`, the overlay and the uplinks, and to no other device any more. */
  attachNode(node: {
    readonly hostIfindex: number;
    readonly uplinks: readonly { readonly name: string; readonly ifindex: number }[];
    /** Of the VXLAN device, where there is an overlay. */
    readonly overlayIfindex?: number | undefined;
  }): void;
  /** Attaches the pod program to the host side of a veth. Idempotent. */
  attachEndpoint(endpoint: { readonly id: number; readonly ifindex: number }): void;
  /** Takes the program off again. An interface that is gone already is not an error. */
  detachEndpoint(endpoint: { readonly id: number }): void;
  /** Detaches from every endpoint but these, and forgets programs that nothing runs any more: the end of a restart. */
  retainEndpoints(ids: ReadonlySet<number>): void;

  listEndpoints(): readonly DatapathEndpoint[];
  /** Slots that hold a policy. */
  listPolicySlots(): readonly number[];
  listPolicy(slot: number): readonly PolicyMapEntry[];
  /** The slot of the host's policy, while that enforces anything. */
  hostPolicySlot(): number | undefined;
  /** What packets through the overlay go by. */
  listNodes(): readonly DatapathNode[];
  listIpcache(): Promise<readonly IpcacheMapEntry[]>;
  listConnections(): AsyncIterable<readonly Connection[]>;
  listTraffic(): readonly TrafficCount[];
  /** Counts since the rules came; a rule that goes and comes again starts at 0. */
  listRuleTraffic(): readonly RuleTraffic[];
  /** The maps that policies, addresses and flows live in; flows as the last sweep has counted them. Costs no system call. */
  mapUse(): readonly MapUse[];
  eventLoss(): EventLoss;
  /** Deletes expired conntrack entries. */
  sweepConnections(): Promise<{ readonly seen: number; readonly deleted: number }>;
  /** Calls back with every batch of events from now on; returns a function that stops it. */
  readEvents(onBatch: (batch: EventBatch) => void): () => void;
  /** Waits for what is under way and closes all descriptors. What is attached and pinned stays in force. */
  close(): Promise<void>;
}
