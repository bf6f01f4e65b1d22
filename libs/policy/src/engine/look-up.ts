// SPDX-License-Identifier: Apache-2.0
import type { PolicyEntryKey } from '../policy-entry.ts';
import { type PortPrefix, portBits, portPrefixSize } from '../port-prefix.ts';
import type { Decision } from './decision.ts';
import type { DirectionPolicy } from './direction-policy.ts';
import type { PolicyAnswer, PolicyQuestion } from './engine-types.ts';
import { peerLevels } from './peer-levels.ts';

/** An entry that a flow finds. */
export interface FoundEntry extends Decision {
  readonly key: PolicyEntryKey;
}

type Flow = Pick<PolicyQuestion, 'peerIdentity' | 'protocol' | 'port'>;

/** The narrowest range with an entry of the peer: what a longest-prefix look-up finds. */
function findRange(policy: DirectionPolicy, flow: Flow, peer: number): FoundEntry | undefined {
  for (let length = portBits - 1; length > 0; length--) {
    const prefix = { port: flow.port & -portPrefixSize(length), prefixLength: length };
    const found = findSpan(policy, { protocol: flow.protocol, ...prefix }, peer);
    if (found !== undefined) return found;
  }
  return undefined;
}

function findSpan(
  policy: DirectionPolicy,
  span: PortPrefix & { readonly protocol: number },
  peer: number,
): FoundEntry | undefined {
  const table = policy.table(span);
  const decision = table && policy.decision(table, peer);
  if (decision === undefined) return undefined;
  const { protocol, port, prefixLength } = span;
  const { direction } = policy;
  return { ...decision, key: { direction, peerIdentity: peer, protocol, port, portPrefixLength: prefixLength } };
}

/** All entries that a flow finds, the most specific first: for each peer the port, its range, every port, everything. */
export function findEntries(policy: DirectionPolicy, flow: Flow): FoundEntry[] {
  const { protocol, port } = flow;
  const finds = peerLevels(flow.peerIdentity).flatMap((peer) => [
    port === 0 ? undefined : findSpan(policy, { protocol, port, prefixLength: portBits }, peer),
    port === 0 ? undefined : findRange(policy, flow, peer),
    findSpan(policy, { protocol, port: 0, prefixLength: 0 }, peer),
    findSpan(policy, { protocol: 0, port: 0, prefixLength: 0 }, peer),
  ]);
  return finds.filter((found) => found !== undefined);
}

/** What becomes of a flow. */
export function judgeFlow(policy: DirectionPolicy, flow: Flow): PolicyAnswer {
  if (!policy.isEnforced) return { verdict: 'not-enforced', origins: [] };
  const found = combineEntries(findEntries(policy, flow));
  if (found === undefined) return { verdict: policy.isDefaultAllow ? 'allow' : 'no-match', origins: [] };
  const { verdict, ruleSet, origins } = found;
  return { verdict, origins, ...(ruleSet !== undefined && { ruleSet }) };
}

/** Combines what a flow has found, as the datapath does. */
export function combineEntries(found: readonly FoundEntry[]): FoundEntry | undefined {
  for (const verdict of ['deny', 'allow', 'redirect'] as const) {
    const first = found.find((entry) => entry.verdict === verdict);
    if (first !== undefined) return first;
  }
  return undefined;
}
