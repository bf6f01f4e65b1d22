// SPDX-License-Identifier: Apache-2.0
import { ipAddressFromBytes } from '@weir/model';
import { weir } from '@weir/proto';
import { type Origin, originNames } from '../policy/policy-names.ts';
import type { Peers } from './peers.ts';

const { CallVerdict } = weir.proxy.v1;

const verdicts: Readonly<Record<number, string>> = {
  [CallVerdict.CALL_VERDICT_FORWARDED]: 'forwarded',
  [CallVerdict.CALL_VERDICT_DENIED]: 'denied',
  [CallVerdict.CALL_VERDICT_ERROR]: 'error',
};

const actions = new Map<number, string>(
  Object.entries(weir.proxy.v1.HeaderMismatch).map(([name, number]) => [
    number as number,
    name.split('_').at(-1) ?? '',
  ]),
);

const differenceText = ({ mismatch, name, wanted, found, present }: weir.proxy.v1.IHeaderDifference): string => {
  const instead = present ? `instead of ${JSON.stringify(found)}` : 'where there was none';
  return `${actions.get(mismatch ?? 0) ?? ''} ${name}: ${JSON.stringify(wanted)} ${instead}`;
};

/** The rules behind a rule set of the proxy, by its number. */
export interface RuleSetOrigins {
  meaningOf(ruleSet: number): { readonly origins: readonly Origin[] } | undefined;
}

/** What the monitor says of a call that the proxy has judged. */
export function describeHttpCall(
  call: weir.proxy.v1.IHttpCall,
  options: { readonly peers: Peers; readonly ruleSets: RuleSetOrigins; readonly node: string },
): weir.agent.v1.IMonitorEvent {
  const { peers, ruleSets, node } = options;
  const number = (value: number | null | undefined): number => value ?? 0;
  const namesOf = (ruleSet: number): string[] => originNames(ruleSets.meaningOf(ruleSet)?.origins ?? []);
  const denying = number(call.deniedByRuleSet);
  const ruleSetsOfCall = denying === 0 ? [number(call.egressRuleSet), number(call.ingressRuleSet)] : [denying];
  const isEgress = denying === 0 ? number(call.ingressRuleSet) === 0 : denying === call.egressRuleSet;
  return {
    timeNs: call.timeNs ?? 0,
    type: 'l7',
    verdict: verdicts[call.verdict ?? 0] ?? 'error',
    reason: call.reason ?? '',
    direction: isEgress ? 'egress' : 'ingress',
    protocol: 'HTTP',
    source: peers.describe({
      address: ipAddressFromBytes(call.sourceAddress ?? new Uint8Array(16)),
      port: number(call.sourcePort),
      identity: number(call.sourceIdentity),
      endpointId: 0,
    }),
    destination: peers.describe({
      address: ipAddressFromBytes(call.destinationAddress ?? new Uint8Array(16)),
      port: number(call.destinationPort),
      identity: number(call.destinationIdentity),
      endpointId: 0,
    }),
    policies: [...new Set(ruleSetsOfCall.flatMap(namesOf))],
    http: {
      method: call.method ?? '',
      path: call.path ?? '',
      host: call.host ?? '',
      protocol: call.protocol ?? '',
      status: number(call.status),
      latencyNs: call.latencyNs ?? 0,
      headerDifferences: (call.headerDifferences ?? []).map(differenceText),
    },
    node,
  };
}
