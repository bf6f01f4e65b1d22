// SPDX-License-Identifier: Apache-2.0
import type { BpfMap } from '@weir/bpf-loader-node';
import {
  direction,
  policyEntry,
  policyFlag,
  policyKey,
  policyKeyKind,
  policyPeerShift,
  policyRangeKey,
  policyVerdict,
  policyWord,
  toBytes,
} from '@weir/datapath-layout';
import type { Party } from './scene.ts';

/** Every pod, as one peer of rules. */
export const allPods: Pick<Party, 'identity'> = { identity: 0xffff_ffff };

/** The port that a type of ICMP is for rules. */
export const icmpPort = (type: number): number => 256 + type;

/** One entry of a policy. What is absent is any. */
export interface Rule {
  readonly peer?: Pick<Party, 'identity'>;
  readonly protocol?: number;
  /** Destination port, or {@link icmpPort}. */
  readonly port?: number;
  /** How many bits of the port count: 16, or 1–15 for a range. */
  readonly portPrefixLength?: number;
  /** "allow" unless told. */
  readonly verdict?: keyof typeof policyVerdict;
  readonly ruleSet?: number;
  readonly cookie?: number;
  /** Where it is counted. */
  readonly counter?: number;
}

/** A policy. A direction that is absent is not enforced. */
export interface PolicyRules {
  readonly ingress?: readonly Rule[];
  readonly egress?: readonly Rule[];
  /** What no rule is about is let through. */
  readonly defaultAllow?: boolean;
}

/** Which kind of key a rule has: what the programs must be told to look for. */
export function kindOf({ peer, protocol, port, portPrefixLength = 16 }: Rule): number {
  const { one, pods, any } = policyPeerShift;
  const shift = peer === undefined ? any : peer.identity === allPods.identity ? pods : one;
  const narrow = portPrefixLength === 16 ? policyKeyKind.port : policyKeyKind.range;
  if (port !== undefined) return narrow << shift;
  return (protocol === undefined ? policyKeyKind.any : policyKeyKind.protocol) << shift;
}

/** Writes policies the way docs/architecture.md says: entries of a new version first, then the word that names it. */
export function createPolicyWriter(maps: { readonly slots: BpfMap; readonly exact: BpfMap; readonly ranges: BpfMap }): {
  write(slot: number, rules: PolicyRules): void;
} {
  let version = 0;
  return {
    write(slot, { ingress, egress, defaultAllow = false }) {
      version += 1;
      const all = [
        ...(ingress ?? []).map((rule) => ({ rule, way: direction.ingress })),
        ...(egress ?? []).map((rule) => ({ rule, way: direction.egress })),
      ];
      for (const { rule, way } of all) {
        const { peer, protocol = 0, port = 0, portPrefixLength: length = 16 } = rule;
        const { verdict = 'allow', ruleSet = 0, cookie = 0, counter = 0 } = rule;
        const key = { version, peerIdentity: peer?.identity ?? 0, port, protocol, direction: way };
        const value = toBytes(policyEntry, { ruleSet, cookie, counter, verdict: policyVerdict[verdict] });
        if (length === 16) maps.exact.update(toBytes(policyKey, key), value);
        else maps.ranges.update(toBytes(policyRangeKey, { ...key, prefixLength: 80 + length }), value);
      }
      const flags = policyFlag.enforced | (defaultAllow ? policyFlag.defaultAllow : 0);
      const bits = (rules: readonly Rule[] | undefined): number =>
        rules === undefined ? 0 : rules.reduce((sum, rule) => sum | kindOf(rule), flags);
      const word = { version, ingress: bits(ingress), egress: bits(egress) };
      maps.slots.update(new Uint8Array(Uint32Array.of(slot).buffer), toBytes(policyWord, word));
    },
  };
}
