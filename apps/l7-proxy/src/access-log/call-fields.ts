// SPDX-License-Identifier: Apache-2.0
import { ipAddressWireBytes, parseIpAddress } from '@weir/model';
import { weir } from '@weir/proto';
import type { Flow, FlowPolicy } from '../flows/flow-table.ts';
import { type HeaderDifference, mismatchMessages } from '../rules/header-rule.ts';
import type { HttpCall } from '../rules/rule-set.ts';

const { HttpCall: Message, CallVerdict } = weir.proxy.v1;

// Of a method, path or host: what a person may want to read. Whole values would let one client fill the log's budget.
const loggedCharactersMax = 2048;
const differencesMax = 16;
const headerCharactersMax = 256;

const shorten = (value: string, charactersMax = loggedCharactersMax): string =>
  value.length <= charactersMax ? value : `${value.slice(0, charactersMax - 1)}…`;

const differenceMessage = ({ name, value, found, mismatch }: HeaderDifference): weir.proxy.v1.IHeaderDifference => ({
  name: shorten(name, headerCharactersMax),
  wanted: shorten(value, headerCharactersMax),
  found: shorten(found ?? '', headerCharactersMax),
  present: found !== undefined,
  mismatch: mismatchMessages[mismatch],
});

/** How a call ended. */
export type CallOutcome =
  | { readonly verdict: 'forwarded'; readonly differences?: readonly HeaderDifference[] }
  | { readonly verdict: 'denied'; readonly reason: string; readonly deniedByRuleSet: number }
  | { readonly verdict: 'error'; readonly reason: string };

const verdicts = {
  forwarded: CallVerdict.CALL_VERDICT_FORWARDED,
  denied: CallVerdict.CALL_VERDICT_DENIED,
  error: CallVerdict.CALL_VERDICT_ERROR,
} as const;

/**
 * The fields of an `HttpCall` message that all calls of a connection share. Encoded messages that stand one behind the
 * other read as one, so a whole call is these bytes, those of the call, and those that differ each time.
 */
export function encodeFlowFields(flow: Flow, policy: FlowPolicy): Uint8Array {
  return Message.encode({
    sourceAddress: ipAddressWireBytes(parseIpAddress(flow.source)),
    sourcePort: flow.sourcePort,
    destinationAddress: ipAddressWireBytes(parseIpAddress(flow.destination)),
    destinationPort: flow.destinationPort,
    sourceIdentity: policy.sourceIdentity,
    destinationIdentity: policy.destinationIdentity,
    egressRuleSet: policy.egressRuleSet,
    ingressRuleSet: policy.ingressRuleSet,
  }).finish();
}

/** The fields that all calls share which ask for the same and end the same way. `call` is undefined if it never parsed. */
export function encodeCallFields(call: HttpCall | undefined, outcome: CallOutcome): Uint8Array {
  return Message.encode({
    verdict: verdicts[outcome.verdict],
    method: shorten(call?.method ?? ''),
    path: shorten(call?.path ?? ''),
    host: shorten(call?.host ?? ''),
    ...(outcome.verdict === 'forwarded' ? {} : { reason: shorten(outcome.reason) }),
    ...(outcome.verdict === 'forwarded' && {
      headerDifferences: (outcome.differences ?? []).slice(0, differencesMax).map(differenceMessage),
    }),
    ...(outcome.verdict === 'denied' ? { deniedByRuleSet: outcome.deniedByRuleSet } : {}),
  }).finish();
}

const noFields = new Uint8Array(0);

/** The field that says of which trace a call is part; nothing for one that is of none. */
export const encodeTraceFields = (traceParent: string | undefined): Uint8Array =>
  traceParent === undefined ? noFields : Message.encode({ traceParent }).finish();
