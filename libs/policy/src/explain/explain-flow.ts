// SPDX-License-Identifier: Apache-2.0
import type { Direction, NamedPort } from '@weir/model';
import { applyUpdate } from '../engine/apply-update.ts';
import { type EngineState, rulesSelecting, type Subject } from '../engine/engine-state.ts';
import { findEntries, judgeFlow } from '../engine/look-up.ts';
import { addSubject, removeSubject } from '../engine/subjects.ts';
import type { ExplainQuestion, Explanation, SideExplanation } from './explain-types.ts';
import { mayHavePolicy, type ResolvedEnd, resolveEnd } from './flow-end.ts';
import { nearMisses, type SideFlow } from './near-misses.ts';
import { requestPasses } from './request-match.ts';

// No subject of a caller's has this number.
const madeUpSubject = -1;

/** Runs with an identity in place for an end that nobody is, and takes it out again. */
function withIdentity<T>(state: EngineState, end: ResolvedEnd, run: () => T): T {
  if (!end.isMadeUp) return run();
  applyUpdate(state, { upsertIdentities: [end.identity] });
  try {
    return run();
  } finally {
    applyUpdate(state, { deleteIdentities: [end.identity.id] });
  }
}

/** Runs with the policy of an end, which is made for the purpose where nobody here has it; undefined: it has none. */
function withSubject<T>(state: EngineState, end: ResolvedEnd, run: (subject: Subject | undefined) => T): T {
  const { labels, namedPorts } = end.identity;
  if (end.subject !== undefined || !mayHavePolicy(labels)) return run(end.subject);
  const subject = addSubject(state, { id: madeUpSubject, labels, ...(namedPorts && { namedPorts }) });
  try {
    return run(subject);
  } finally {
    removeSubject(state, madeUpSubject);
  }
}

const notManaged: SideExplanation = {
  verdict: 'not-managed',
  entries: [],
  decidedBy: [],
  defaultDenyBy: [],
  nearest: [],
};

function explainSide(state: EngineState, flow: SideFlow): SideExplanation {
  const { subject, direction, request, peer, protocol, port } = flow;
  const policy = subject[direction];
  const asked = { peerIdentity: peer.id, protocol, port };
  const { verdict, ruleSet, origins } = judgeFlow(policy, asked);
  const outcome =
    ruleSet === undefined || request === undefined ? undefined : requestPasses(ruleSet, request) ? 'passes' : 'refused';
  const isInDefaultDeny = policy.isEnforced && !policy.isDefaultAllow;
  const denying = rulesSelecting(state, subject).filter(({ rule }) => rule[direction].defaultDeny);
  return {
    verdict,
    entries: policy.isEnforced ? findEntries(policy, asked) : [],
    decidedBy: origins,
    ...(outcome !== undefined && { request: outcome }),
    defaultDenyBy: isInDefaultDeny ? [...new Set(denying.map((rule) => rule.policy.key))].sort() : [],
    nearest: verdict === 'no-match' || outcome === 'refused' ? nearMisses(state, flow) : [],
  };
}

function sideOf(
  state: EngineState,
  ends: { readonly end: ResolvedEnd; readonly peer: ResolvedEnd; readonly direction: Direction },
  { protocol, port, request }: ExplainQuestion,
): SideExplanation {
  const { end, peer, direction } = ends;
  return withSubject(state, end, (subject) => {
    if (subject === undefined) return notManaged;
    const subjectPorts: readonly NamedPort[] = subject[direction].namedPorts;
    const flow = { subject, subjectPorts, direction, peer: peer.identity, protocol, port };
    return explainSide(state, { ...flow, ...(request !== undefined && { request }) });
  });
}

function verdictOf(sides: readonly SideExplanation[], hasRequest: boolean): Explanation['verdict'] {
  if (sides.some(({ verdict }) => verdict === 'deny' || verdict === 'no-match')) return 'dropped';
  if (sides.some(({ request }) => request === 'refused')) return 'refused';
  return !hasRequest && sides.some(({ verdict }) => verdict === 'redirect') ? 'depends' : 'allowed';
}

/** See {@link PolicyEngine.explain}. The state is as it was afterwards. */
export function explainFlow(state: EngineState, question: ExplainQuestion): Explanation {
  const source = resolveEnd(state, question.source);
  return withIdentity(state, source, () => {
    // Found after the source, so that two ends that nobody is do not get one number.
    const destination = resolveEnd(state, question.destination);
    return withIdentity(state, destination, () => {
      const egress = sideOf(state, { end: source, peer: destination, direction: 'egress' }, question);
      const ingress = sideOf(state, { end: destination, peer: source, direction: 'ingress' }, question);
      return {
        verdict: verdictOf([egress, ingress], question.request !== undefined),
        source: source.explained,
        destination: destination.explained,
        egress,
        ingress,
      };
    });
  });
}
