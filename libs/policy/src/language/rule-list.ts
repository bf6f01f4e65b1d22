// SPDX-License-Identifier: Apache-2.0
import { policyLimits } from '../limits.ts';
import { type ListNode, plainValue } from '../document/document-node.ts';
import { itemPlace, type Place, placeLine, reportProblem } from '../document/place.ts';
import type { Policy, Rule } from '../rule.ts';
import { ruleReader } from './rule.ts';

/** 64 bits of a text, as 16 hexadecimal digits: two FNV-1a lanes. Tells texts apart; no protection against an attacker. */
export function contentHash(text: string): string {
  let low = 0x811c9dc5;
  let high = 0x9747b28c;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    low = Math.imul(low ^ unit, 0x01000193);
    high = Math.imul(high ^ unit ^ (low >>> 16), 0x85ebca6b);
  }
  return [high, low].map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('');
}

interface LabelledRule {
  readonly rule: Rule;
  readonly place: Place;
}

function groupPolicy(members: readonly LabelledRule[], first: LabelledRule): Policy {
  const document = JSON.stringify(members.map(({ place }) => plainValue(place.node)));
  const { labels } = first.rule;
  const name = labels.length > 0 ? labels.join(',') : contentHash(document);
  return {
    key: `RuleList//${name}`,
    kind: 'RuleList',
    namespace: '',
    name,
    source: { file: first.place.file.name, line: placeLine(first.place, 'first') },
    rules: members.map(({ rule }) => rule),
    document,
  };
}

/**
 * Reads a list of rules. Rules with equal labels make one policy, named by them; those without labels make one that is
 * named by its content. So applying a file again changes nothing, and deleting by file finds what the file made.
 */
export function readRuleList(list: Place<ListNode>, clusterName: string): Policy[] {
  const { items } = list.node;
  if (items.length > policyLimits.rulesPerPolicyMax) {
    reportProblem(list, `List has ${items.length} rules; expected at most ${policyLimits.rulesPerPolicyMax}`);
    return [];
  }
  const readRule = ruleReader({ scope: { kind: 'unscoped' }, clusterName, labels: [] });
  const groups = new Map<string, LabelledRule[]>();
  for (const [index, node] of items.entries()) {
    const place = itemPlace(list, node, index);
    const rule = readRule(place);
    if (rule === undefined) continue;
    const name = rule.labels.join(',');
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [{ rule, place }]);
    else group.push({ rule, place });
  }
  return [...groups.values()].flatMap((group) => (group[0] === undefined ? [] : [groupPolicy(group, group[0])]));
}
