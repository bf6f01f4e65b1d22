// SPDX-License-Identifier: Apache-2.0
import type { RuleTraffic } from '@weir/datapath-maps';
import type { weir } from '@weir/proto';
import type { PolicyTranslation } from '../policy/policy-translation.ts';

type Message = weir.agent.v1.IRuleTraffic & { packets: number; bytes: number };

/**
 * What the items of policies decided on, by the key of the policy, in the order in which they are written. Where several
 * items are behind an entry, what it decided on counts for each.
 */
export function trafficByPolicy(
  traffic: readonly RuleTraffic[],
  cookies: PolicyTranslation['cookies'],
): ReadonlyMap<string, Message[]> {
  const byPolicy = new Map<string, Map<string, Message>>();
  for (const { cookie, packets, bytes } of traffic) {
    for (const { policy, path, line, direction } of cookies.meaningOf(cookie) ?? []) {
      const items = byPolicy.get(policy) ?? new Map<string, Message>();
      byPolicy.set(policy, items);
      const item = items.get(path) ?? { direction, path, line, packets: 0, bytes: 0 };
      items.set(path, item);
      item.packets += packets;
      item.bytes += bytes;
    }
  }
  const ordered = ([key, items]: [string, Map<string, Message>]) =>
    [key, [...items.values()].sort((a, b) => (a.line ?? 0) - (b.line ?? 0))] as const;
  return new Map([...byPolicy].map(ordered));
}
