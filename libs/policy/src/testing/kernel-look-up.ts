// SPDX-License-Identifier: Apache-2.0
// What the datapath does with the entries of a policy map (bpf/lib/policy.h), said again in TypeScript so that tests can
// ask it thousands of flows.
import type { PolicyEntry, PolicyEntryKey, RuleSet } from '../policy-entry.ts';

/** The key of an entry as a text. */
export const keyText = ({ direction, peerIdentity, protocol, port }: PolicyEntryKey): string =>
  `${direction} ${peerIdentity} ${protocol} ${port}`;

/** A policy map: entries by {@link keyText}. */
export type PolicyMap = Map<string, PolicyEntry>;

/** What the datapath decides. */
export interface KernelVerdict {
  readonly verdict: 'allowed' | 'dropped' | 'redirected';
  readonly ruleSet?: RuleSet;
}

/** Looks a flow up under every kind of key, the most specific first, and combines what is found. */
export function lookUpAsKernel(map: PolicyMap, flow: PolicyEntryKey): KernelVerdict {
  const { direction, peerIdentity, protocol, port } = flow;
  let isAllowed = false;
  let redirect: RuleSet | undefined;
  for (const key of [
    { direction, peerIdentity, protocol, port },
    { direction, peerIdentity, protocol, port: 0 },
    { direction, peerIdentity, protocol: 0, port: 0 },
    { direction, peerIdentity: 0, protocol, port },
    { direction, peerIdentity: 0, protocol, port: 0 },
    { direction, peerIdentity: 0, protocol: 0, port: 0 },
  ]) {
    const entry = map.get(keyText(key));
    if (entry?.verdict === 'deny') return { verdict: 'dropped' };
    if (entry?.verdict === 'allow') isAllowed = true;
    if (entry?.verdict === 'redirect') redirect ??= entry.ruleSet;
  }
  if (isAllowed) return { verdict: 'allowed' };
  return redirect === undefined ? { verdict: 'dropped' } : { verdict: 'redirected', ruleSet: redirect };
}
