// SPDX-License-Identifier: Apache-2.0
import type { RequestHead } from '../http/request-head.ts';
import { TargetForm } from '../http/target-form.ts';
import type { FlowPolicy } from '../flows/flow-table.ts';
import { hasDotSegment } from './dot-segments.ts';
import type { HeaderDifference } from './header-rule.ts';
import { readRequestHeaders } from './request-headers.ts';
import type { HttpCall } from './rule-set.ts';
import type { RuleSets } from './rule-sets.ts';
import type { Judgement, JudgementCache } from './judgement-cache.ts';

/** Decides on requests. */
export interface Judge {
  /** The judgement on the request whose head lies in `bytes`, under the rule sets of `policy` as they are now. */
  judge(head: RequestHead, bytes: Buffer, policy: FlowPolicy): Judgement;
}

type Direction = 'egress' | 'ingress';

const none: ReadonlySet<string> = new Set();

/** What judges; equal requests under equal rules are judged once. */
export function createJudge({ ruleSets, cache }: { ruleSets: RuleSets; cache: JudgementCache }): Judge {
  const refusalOf = (call: HttpCall, direction: Direction, ruleSet: number): string | undefined => {
    if (ruleSet === 0) return undefined;
    const set = ruleSets.get(ruleSet);
    if (set === undefined) return `${direction} rule set ${ruleSet} is not known here`;
    if (set.problem !== undefined) return `${direction} rule set ${ruleSet} cannot be applied: ${set.problem.message}`;
    if (set.allows(call)) return undefined;
    const why = call.ambiguousPath ? ' a path with dot segments' : ' the request';
    return `no rule of ${direction} rule set ${ruleSet} allows${why}`;
  };

  const repairs = (call: HttpCall, ruleSet: number): readonly HeaderDifference[] =>
    ruleSets.get(ruleSet)?.repair(call) ?? [];

  const namesLookedAt = ({ egressRuleSet, ingressRuleSet }: FlowPolicy): ReadonlySet<string> => {
    if (!ruleSets.lookAtHeaders) return none;
    const egress = ruleSets.get(egressRuleSet)?.headerNames ?? none;
    const ingress = ruleSets.get(ingressRuleSet)?.headerNames ?? none;
    if (egress.size === 0) return ingress;
    return ingress.size === 0 ? egress : new Set([...egress, ...ingress]);
  };

  const judgeAnew = (head: RequestHead, bytes: Buffer, policy: FlowPolicy): Judgement => {
    const { egressRuleSet, ingressRuleSet } = policy;
    const guardedNames = namesLookedAt(policy);
    const headers = guardedNames.size === 0 ? undefined : readRequestHeaders(head, bytes);
    const call: HttpCall = { ...callFromHead(head, bytes), ...(headers && { headers }) };
    const generation = ruleSets.generation;
    const egress = refusalOf(call, 'egress', egressRuleSet);
    const atSender = egress === undefined ? repairs(call, egressRuleSet) : [];
    // The receiver's rules see what the sender's have made of the request.
    const ingress = egress === undefined ? refusalOf(call, 'ingress', ingressRuleSet) : undefined;
    const reason = egress ?? ingress;
    const deniedBy = reason === undefined ? 0 : egress === undefined ? ingressRuleSet : egressRuleSet;
    const differences = reason === undefined ? [...atSender, ...repairs(call, ingressRuleSet)] : [];
    const rewrittenHead = reason === undefined ? headers?.rewritten() : undefined;
    return {
      ...{ generation, egressRuleSet, ingressRuleSet, call, deniedBy, reason, logFields: undefined },
      ...{ differences, rewrittenHead, guardedNames },
    };
  };

  return {
    judge(head, bytes, policy) {
      // What is kept knows requests by method, target and host only.
      if (namesLookedAt(policy).size > 0) return judgeAnew(head, bytes, policy);
      const found = cache.find(head, bytes, policy);
      if (found !== undefined && found.generation === ruleSets.generation) return found;
      const judgement = judgeAnew(head, bytes, policy);
      cache.add(head, bytes, judgement);
      return judgement;
    },
  };
}

/** What a complete head asks for, as rules see it. */
export function callFromHead(head: RequestHead, bytes: Buffer): HttpCall {
  const path = pathFromHead(head, bytes);
  return {
    method: bytes.toString('latin1', head.start, head.methodEnd),
    path,
    host: bytes.toString('latin1', head.hostStart, head.hostEnd),
    ambiguousPath: hasDotSegment(path),
  };
}

function pathFromHead(head: RequestHead, bytes: Buffer): string {
  const path = bytes.toString('latin1', head.pathStart, head.targetEnd);
  // An absolute form without a path asks for `/` (RFC 9112 3.2.1).
  return head.form === TargetForm.ABSOLUTE && !path.startsWith('/') ? `/${path}` : path;
}
