// SPDX-License-Identifier: Apache-2.0
import type { Datapath, PolicyMapEntry } from '@weir/datapath-maps';
import { directions, type LabelSet } from '@weir/model';
import { type Grant, type Policy, type PolicyEngine, selectorMatches } from '@weir/policy';
import type { weir } from '@weir/proto';
import { policyName } from '../policy/policy-names.ts';
import type { PolicySlots } from '../policy/policy-slots.ts';
import type { PolicyTranslation } from '../policy/policy-translation.ts';

export interface EndpointRulesOptions {
  readonly engine: Pick<PolicyEngine, 'policies'>;
  readonly datapath: Pick<Datapath, 'listPolicy' | 'listRuleTraffic'>;
  readonly slots: Pick<PolicySlots, 'find'>;
  readonly translation: Pick<PolicyTranslation, 'cookies'>;
}

/** Whose rules: the number of the policy, and the labels that rules select by. */
export interface RuleSubject {
  readonly subject: number;
  readonly labels: LabelSet;
}

interface Realised {
  entries: number;
  packets: number;
  bytes: number;
}

const itemName = (policy: string, path: string): string => `${policy}#${path}`;

/** What of each item of a rule is in the kernel for a subject, by {@link itemName}. */
function realisedItems({ datapath, slots, translation }: EndpointRulesOptions, subject: number): Map<string, Realised> {
  const slot = slots.find(subject);
  const entries: readonly PolicyMapEntry[] = slot === undefined ? [] : datapath.listPolicy(slot);
  const perCookie = new Map<number, number>();
  for (const { cookie } of entries) perCookie.set(cookie, (perCookie.get(cookie) ?? 0) + 1);
  const traffic = new Map(datapath.listRuleTraffic().map((each) => [each.cookie, each]));
  const items = new Map<string, Realised>();
  for (const [cookie, count] of perCookie) {
    const { packets = 0, bytes = 0 } = traffic.get(cookie) ?? {};
    for (const { policy, path } of translation.cookies.meaningOf(cookie) ?? []) {
      const item = items.get(itemName(policy, path)) ?? { entries: 0, packets: 0, bytes: 0 };
      items.set(itemName(policy, path), item);
      item.entries += count;
      item.packets += packets;
      item.bytes += bytes;
    }
  }
  return items;
}

const verdictOf = ({ verdict, http }: Grant): string => (http === undefined ? verdict : 'redirect');

/** Items of the rules of a policy that select who has these labels. */
const itemsOf = ({ rules }: Policy, labels: LabelSet): (Grant & { readonly direction: string })[] =>
  rules
    .filter(({ subject, appliesTo }) => appliesTo !== 'nodes' && selectorMatches(subject, labels))
    .flatMap((rule) =>
      directions.flatMap((direction) => rule[direction].grants.map((grant) => ({ ...grant, direction }))),
    );

/**
 * Every item of the rules that select an endpoint, as they are written, with what there is of it in the kernel. An entry
 * counts for each of the items that are behind it.
 */
export function endpointRules(
  { subject, labels }: RuleSubject,
  options: EndpointRulesOptions,
): weir.agent.v1.IEndpointRule[] {
  const realised = realisedItems(options, subject);
  return options.engine.policies().flatMap((policy) =>
    itemsOf(policy, labels).map((grant) => {
      const { direction, path, line } = grant;
      const { entries, packets, bytes } = realised.get(itemName(policy.key, path)) ?? noItem;
      const rule = { policy: policyName(policy.key), direction, path, line, verdict: verdictOf(grant) };
      return { ...rule, entries, packets, bytes };
    }),
  );
}

const noItem: Readonly<Realised> = { entries: 0, packets: 0, bytes: 0 };
