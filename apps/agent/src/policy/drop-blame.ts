// SPDX-License-Identifier: Apache-2.0
import { dropReason } from '@weir/datapath-layout';

/**
 * Whose doing a drop is: of the policies that put the end into default deny, of the rule that decided in the event's
 * direction, of the rules that want the proxy (an event has no others then), or of no policy.
 */
export type DropBlame = 'default-deny' | 'rule' | 'proxy-rules' | 'nobody';

const blames: ReadonlyMap<number, DropBlame> = new Map([
  [dropReason.policyDenied, 'default-deny'],
  [dropReason.policyDeny, 'rule'],
  [dropReason.noConfiguration, 'rule'],
  [dropReason.proxyUnsupportedProtocol, 'rule'],
  [dropReason.proxyNeedsNewConnection, 'rule'],
  [dropReason.proxyNotListening, 'proxy-rules'],
  [dropReason.socketAssignFailed, 'proxy-rules'],
]);

/** Which policies an event with a reason is to name. */
export const blameOf = (reason: number): DropBlame => blames.get(reason) ?? 'nobody';
