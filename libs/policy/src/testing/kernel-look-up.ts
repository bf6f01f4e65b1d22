// SPDX-License-Identifier: Apache-2.0
// What the datapath does with the entries of a policy map (bpf/lib/policy.h), said again in TypeScript so that tests can
// ask it thousands of flows.
import { clusterPeer, isClusterIdentity } from '@weir/model';
import type { PolicyEntry, PolicyEntryKey, RuleSet } from '../policy-entry.ts';

const lengthOf = ({ port, portPrefixLength = port === 0 ? 0 : 16 }: PolicyEntryKey): number => portPrefixLength;

/** The key of an entry as a text. */
export const keyText = (key: PolicyEntryKey): string =>
  `${key.direction} ${key.peerIdentity} ${key.protocol} ${key.port}/${lengthOf(key)}`;

/** A policy map: entries by {@link keyText}. */
export type PolicyMap = Map<string, PolicyEntry>;

/** What the datapath decides; `none`: no entry is about the flow. */
export interface KernelVerdict {
  readonly verdict: 'allowed' | 'dropped' | 'redirected' | 'none';
  readonly ruleSet?: RuleSet;
}

/** The narrowest range that holds the port, as a look-up of the longest prefix finds it. */
function findRange(map: PolicyMap, flow: PolicyEntryKey): PolicyEntry | undefined {
  for (let portPrefixLength = 15; portPrefixLength > 0; portPrefixLength--) {
    const port = flow.port & (0xffff << (16 - portPrefixLength));
    const found = map.get(keyText({ ...flow, port, portPrefixLength }));
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Looks a flow up under every kind of key, the most specific first, and combines what is found. */
export function lookUpAsKernel(map: PolicyMap, flow: PolicyEntryKey): KernelVerdict {
  let isAllowed = false;
  let redirect: RuleSet | undefined;
  const peers = isClusterIdentity(flow.peerIdentity) ? [flow.peerIdentity, clusterPeer, 0] : [flow.peerIdentity, 0];
  for (const peerIdentity of peers) {
    const of = { ...flow, peerIdentity };
    for (const entry of [
      flow.port === 0 ? undefined : map.get(keyText({ ...of, portPrefixLength: 16 })),
      flow.port === 0 ? undefined : findRange(map, of),
      map.get(keyText({ ...of, port: 0, portPrefixLength: 0 })),
      map.get(keyText({ ...of, protocol: 0, port: 0, portPrefixLength: 0 })),
    ]) {
      if (entry?.verdict === 'deny') return { verdict: 'dropped' };
      if (entry?.verdict === 'allow') isAllowed = true;
      if (entry?.verdict === 'redirect') redirect ??= entry.ruleSet;
    }
  }
  if (isAllowed) return { verdict: 'allowed' };
  return redirect === undefined ? { verdict: 'none' } : { verdict: 'redirected', ruleSet: redirect };
}
