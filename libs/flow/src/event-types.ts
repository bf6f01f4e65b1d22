// SPDX-License-Identifier: Apache-2.0

/** Numbers of the kinds of event, as everybody who speaks to Hubble knows them. */
export const monitorType = {
  drop: 1,
  debug: 2,
  capture: 3,
  trace: 4,
  policyVerdict: 5,
  traceSock: 7,
  l7: 129,
  agent: 130,
} as const;

/** The kinds of event by the name that a command line uses. */
export const monitorTypes: Readonly<Record<string, number>> = {
  drop: monitorType.drop,
  debug: monitorType.debug,
  capture: monitorType.capture,
  trace: monitorType.trace,
  'policy-verdict': monitorType.policyVerdict,
  'trace-sock': monitorType.traceSock,
  l7: monitorType.l7,
  agent: monitorType.agent,
};

/** Where a packet was seen, by the sub-type of a trace event. */
export const tracePoints: readonly string[] = [
  'to-endpoint',
  'to-proxy',
  'to-host',
  'to-stack',
  'to-overlay',
  'from-endpoint',
  'from-proxy',
  'from-host',
  'from-stack',
  'from-overlay',
  'from-network',
  'to-network',
  'from-crypto',
  'to-crypto',
];

const toEndpointPoint = 101;

/** `trace_observation_point` of a sub-type: the same number, but that 0 means something else there. */
export const observationPoint = (subType: number): number => (subType === 0 ? toEndpointPoint : subType);

/** How a policy entry matched, by `policy_match_type`. */
export const policyMatchTypes: readonly string[] = [
  'none',
  'L3-Only',
  'L3-L4',
  'L4-Only',
  'all',
  'L3-Proto',
  'Proto-Only',
];

/** Points at which a socket's address is translated, by the sub-type of a trace-sock event. */
export const socketPoints: readonly string[] = [
  'unknown',
  'pre-xlate-fwd',
  'post-xlate-fwd',
  'pre-xlate-rev',
  'post-xlate-rev',
];
