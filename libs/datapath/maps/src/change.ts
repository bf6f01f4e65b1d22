// SPDX-License-Identifier: Apache-2.0
import type { Direction, PolicyVerdict, TraceDetail } from '@weir/datapath-layout';

/** A pod of this node as the programs need it. Addresses have 16 bytes (IPv4 as `::ffff:a.b.c.d`). */
export interface DatapathEndpoint {
  /** Index of the host side of the pod's veth. */
  readonly ifindex: number;
  readonly id: number;
  readonly identity: number;
  /** Index of its policy, see {@link PolicyContent}. */
  readonly policySlot: number;
  /** MAC address of the interface inside the pod, 6 bytes. */
  readonly mac: Uint8Array;
  readonly ipv4: Uint8Array;
  readonly ipv6: Uint8Array;
  /** What its policy denies passes, and is reported. Default: no. */
  readonly isAudited?: boolean;
  /** Which packets of its running flows are reported. Default: the programs' own. */
  readonly traceDetail?: TraceDetail;
}

/** The node itself, as far as policy holds for it. */
export interface DatapathHost {
  readonly policySlot: number;
  /** As of a {@link DatapathEndpoint}. */
  readonly isAudited: boolean;
}

/** What an entry of a policy is found by. Zero means any. */
export interface PolicyMapKey {
  readonly direction: Direction;
  /** `clusterPeer`: every pod, of this cluster and of others. */
  readonly peerIdentity: number;
  readonly protocol: number;
  /** Destination port in host order, or ICMP type + 256. */
  readonly port: number;
  /** How many bits of the port count: 16, this port; 0, any; else a range. Absent: 16, or 0 for port 0. */
  readonly portPrefixLength?: number;
}

/** One entry of a policy. */
export interface PolicyMapEntry extends PolicyMapKey {
  readonly verdict: PolicyVerdict;
  /** What the proxy applies, when the verdict is a redirect; else 0. */
  readonly ruleSet: number;
  /** Names the rules behind the entry, for people. */
  readonly cookie: number;
}

/** All of one policy. A direction that is not enforced lets everything through, whatever entries there are. */
export interface PolicyContent {
  readonly ingressEnforced: boolean;
  readonly egressEnforced: boolean;
  /** Whether what no entry is about is let through where policy is enforced. Default: no. */
  readonly ingressDefaultAllow?: boolean;
  readonly egressDefaultAllow?: boolean;
  readonly entries: readonly PolicyMapEntry[];
}

/** An address range and who has it. `length` counts in 128 bits: an IPv4 prefix /n has 96 + n. */
export interface IpcacheMapEntry {
  readonly address: Uint8Array;
  readonly length: number;
  readonly identity: number;
}

/** Entries to add to, and to take from, a policy that stays otherwise as it is: what a new or a gone identity brings. */
export interface PolicyPatch {
  readonly added: readonly PolicyMapEntry[];
  readonly removed: readonly PolicyMapKey[];
}

/** Another node, whose pods are reached through the overlay. Addresses have 16 bytes. */
export interface DatapathNode {
  /** Where packets for its pods are sent. */
  readonly address: Uint8Array;
  /** All that its own packets may come from, that one included. */
  readonly addresses: readonly Uint8Array[];
  readonly podRanges: readonly Omit<IpcacheMapEntry, 'identity'>[];
}

/**
 * A set of changes that takes effect as one: every flow is judged by all of it or, until the last step, by none of it
 * where it matters. Absent parts are empty.
 */
export interface DatapathChange {
  /** By slot. Each replaces all that the slot held. */
  readonly policies?: ReadonlyMap<number, PolicyContent>;
  /** By slot. A slot is in `policies` or here, not in both. */
  readonly policyPatches?: ReadonlyMap<number, PolicyPatch>;
  /** Slots that nobody uses any more. */
  readonly policiesRemoved?: readonly number[];
  /** Absent: as it was. */
  readonly host?: DatapathHost;
  readonly endpoints?: readonly DatapathEndpoint[];
  readonly endpointsRemoved?: readonly DatapathEndpoint[];
  readonly ipcache?: readonly IpcacheMapEntry[];
  /** All nodes that there are to be, in the place of those that there were. */
  readonly nodes?: readonly DatapathNode[];
  readonly ipcacheRemoved?: readonly Omit<IpcacheMapEntry, 'identity'>[];
}
