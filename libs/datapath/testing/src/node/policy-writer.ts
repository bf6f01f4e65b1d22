// SPDX-License-Identifier: Apache-2.0
import type { BpfMap } from '@weir/bpf-loader-node';
import {
  direction,
  policyEntry,
  policyKey,
  policyKeyKind,
  policyVerdict,
  policyWord,
  toBytes,
} from '@weir/datapath-layout';
import type { Party } from './scene.ts';

/** One entry of a policy. What is absent is any. */
export interface Rule {
  readonly peer?: Pick<Party, 'identity'>;
  readonly protocol?: number;
  /** Destination port, or ICMP type. */
  readonly port?: number;
  /** "allow" unless told. */
  readonly verdict?: keyof typeof policyVerdict;
  readonly ruleSet?: number;
  readonly cookie?: number;
}

/** A policy. A direction that is absent is not enforced. */
export interface PolicyRules {
  readonly ingress?: readonly Rule[];
  readonly egress?: readonly Rule[];
}

/** Which kind of key a rule has: what the programs must be told to look for. */
export function kindOf({ peer, protocol, port }: Rule): number {
  if (port !== undefined) return peer === undefined ? policyKeyKind.protocolPort : policyKeyKind.peerProtocolPort;
  if (protocol !== undefined) return peer === undefined ? policyKeyKind.protocol : policyKeyKind.peerProtocol;
  return peer === undefined ? policyKeyKind.any : policyKeyKind.peer;
}

/** Writes policies the way docs/architecture.md says: entries of a new version first, then the word that names it. */
export function createPolicyWriter(maps: { readonly slots: BpfMap; readonly entries: BpfMap }): {
  write(slot: number, rules: PolicyRules): void;
} {
  let version = 0;
  return {
    write(slot, { ingress, egress }) {
      version += 1;
      const all = [
        ...(ingress ?? []).map((rule) => ({ rule, way: direction.ingress })),
        ...(egress ?? []).map((rule) => ({ rule, way: direction.egress })),
      ];
      for (const { rule, way } of all) {
        const { peer, protocol = 0, port = 0, verdict = 'allow', ruleSet = 0, cookie = 0 } = rule;
        maps.entries.update(
          toBytes(policyKey, { version, peerIdentity: peer?.identity ?? 0, port, protocol, direction: way }),
          toBytes(policyEntry, { ruleSet, cookie, verdict: policyVerdict[verdict] }),
        );
      }
      const kinds = (rules: readonly Rule[] = []): number => rules.reduce((bits, rule) => bits | kindOf(rule), 0);
      const word = {
        version,
        ingressKinds: kinds(ingress),
        egressKinds: kinds(egress),
        enforced: (ingress ? direction.ingress : 0) | (egress ? direction.egress : 0),
      };
      maps.slots.update(new Uint8Array(Uint32Array.of(slot).buffer), toBytes(policyWord, word));
    },
  };
}
