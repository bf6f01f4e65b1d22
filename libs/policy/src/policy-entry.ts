// SPDX-License-Identifier: Apache-2.0
import type { Direction } from '@weir/model';
import type { HttpRule } from './rule.ts';

/** What the proxy applies to the requests of a connection. Equal rule sets have equal keys. */
export interface RuleSet {
  readonly key: string;
  /** A request passes if one of them matches. Empty: every request passes. */
  readonly http: readonly HttpRule[];
}

/** The item of a rule's section that is behind an entry. */
export interface EntryOrigin {
  /** Key of the policy: `kind/namespace/name`. */
  readonly policy: string;
  /** Position of the rule in its policy, from 0. */
  readonly rule: number;
  readonly direction: Direction;
  /** Where it is written: `spec.ingress[0].toPorts[1]`. */
  readonly path: string;
  readonly line: number;
}

/** What an entry of a policy map is found by. */
export interface PolicyEntryKey {
  readonly direction: Direction;
  /** 0: any; {@link clusterPeer}: every pod, of this cluster and of others. */
  readonly peerIdentity: number;
  /** 0: any. */
  readonly protocol: number;
  /** 0: any. Never without a protocol. For ICMP the type plus 256. */
  readonly port: number;
  /** How many bits of the port count: 16, this port; 0, any; else a range. Absent: 16, or 0 for port 0. */
  readonly portPrefixLength?: number;
}

/**
 * An entry of a policy map. A flow looks up every kind of key and combines what it finds: a `deny` beats everything, an
 * `allow` beats a `redirect`, and of several redirects the one with the most specific key counts. Its rule set therefore
 * holds the rules of all redirects that are about its peer and port. Of ranges only the narrowest is found, and so each
 * says all that wider ones do. What a wider entry says already has no entry.
 */
export interface PolicyEntry extends PolicyEntryKey {
  readonly verdict: 'allow' | 'deny' | 'redirect';
  /** With a redirect only. */
  readonly ruleSet?: RuleSet;
  /** Empty for entries of Weir's own: the local host, or all else where only denials are enforced. */
  readonly origins: readonly EntryOrigin[];
}

/** What a subject's policy does besides its entries. */
export interface Enforcement {
  /** Whether entries count. Without it there are none in that direction, and everything is let through. */
  readonly ingressEnforced: boolean;
  readonly egressEnforced: boolean;
  /** Whether what no entry is about is let through; only where policy is enforced, and with the feature `defaultAllow`. */
  readonly ingressDefaultAllow: boolean;
  readonly egressDefaultAllow: boolean;
}

/** The whole policy of a subject. */
export interface ResolvedPolicy extends Enforcement {
  /** The subject that it is for. */
  readonly subject: number;
  /** In no order. */
  readonly entries: readonly PolicyEntry[];
}
