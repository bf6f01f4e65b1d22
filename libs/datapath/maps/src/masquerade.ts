// SPDX-License-Identifier: Apache-2.0
import type { NatEntry, NatKey } from '@weir/datapath-layout';

/** An uplink, and the addresses that pods speak in the name of through it (16 bytes; undefined: it has none). */
export interface UplinkAddresses {
  readonly ifindex: number;
  readonly ipv4: Uint8Array | undefined;
  readonly ipv6: Uint8Array | undefined;
}

/** An address range. `length` counts in 128 bits: an IPv4 prefix /n has 96 + n. */
export interface MasqueradeRange {
  readonly address: Uint8Array;
  readonly length: number;
}

/** A flow of a pod that has a port of the node. */
export interface MasqueradedFlow {
  readonly key: NatKey;
  readonly entry: NatEntry;
}

/** What has been counted since the maps were made, over all CPUs. */
export interface MasqueradeCounts {
  /** Flows that got a port. */
  readonly mapped: number;
  /** Ports that were tried and were somebody else's. */
  readonly retries: number;
  /** Packets that were dropped because all ports that were tried were somebody else's. */
  readonly exhausted: number;
}

/** What pods send out of the cluster in their node's name. */
export interface MasqueradeDatapath {
  /** Makes the uplinks exactly these. */
  setUplinks(uplinks: readonly UplinkAddresses[]): void;
  /** Makes the ranges that pods keep their addresses for exactly these; flows that run stay as they are. */
  setExcluded(ranges: readonly MasqueradeRange[]): void;
  /** Flows that live. */
  list(): AsyncIterable<readonly MasqueradedFlow[]>;
  counts(): MasqueradeCounts;
  /** Deletes flows that have been over for some time. */
  sweep(): Promise<{ readonly seen: number; readonly deleted: number }>;
}
