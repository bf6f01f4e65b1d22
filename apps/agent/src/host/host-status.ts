// SPDX-License-Identifier: Apache-2.0
import { protocolNumber, tryParseIpAddress } from '@weir/model';
import type { PolicyEngine } from '@weir/policy';
import { parseRpcAddress } from '@weir/rpc';
import type { Logger } from '@weir/telemetry';
import { type DesiredIpcache, identityOfAddress } from '../ipcache/desired-ipcache.ts';
import { policyName } from '../policy/policy-names.ts';
import { hostSubject } from './host-policy.ts';

/** What there is to say of the policy of this node. */
export interface HostStatus {
  readonly state: 'Ok' | 'Warning';
  readonly message: string;
}

export interface HostStatusOptions {
  readonly engine: PolicyEngine;
  readonly ipcache: Pick<DesiredIpcache, 'entries'>;
  /** Addresses of the allocator, with commas in between. */
  readonly allocator: string;
  /** What policy denies the node passes. */
  readonly isAudited?: boolean;
}

/** Allocators that the policy keeps this node from. A host name says nothing of whose address it will be. */
function closedAllocators({ engine, ipcache, allocator }: HostStatusOptions): string[] {
  return allocator.split(',').filter((text) => {
    const address = parseRpcAddress(text);
    const bytes = address.kind === 'tcp' && !address.loopback ? tryParseIpAddress(address.host) : undefined;
    if (address.kind !== 'tcp' || bytes === undefined) return false;
    const peerIdentity = identityOfAddress(ipcache, bytes);
    const flow = { subject: hostSubject, direction: 'egress', peerIdentity, port: address.port } as const;
    const { verdict } = engine.decide({ ...flow, protocol: protocolNumber.TCP });
    return verdict === 'deny' || verdict === 'no-match';
  });
}

/** Which policies hold this node, and whether they cut it off from what its agent needs. */
export function describeHostPolicy(options: HostStatusOptions): HostStatus {
  const policy = options.engine.resolve(hostSubject);
  const enforced = [
    ...(policy?.ingressEnforced === true ? ['ingress'] : []),
    ...(policy?.egressEnforced === true ? ['egress'] : []),
  ];
  if (enforced.length === 0) return { state: 'Ok', message: 'no policy holds this node' };
  const names = options.engine.policiesSelecting(hostSubject).map(policyName).join(', ');
  const held = `${enforced.join(' and ')} of this node by ${names}${options.isAudited === true ? ', audited' : ''}`;
  const closed = closedAllocators(options);
  if (closed.length === 0) return { state: 'Ok', message: held };
  return {
    state: 'Warning',
    message: `${held}; does not allow its own agent to call the allocator ${closed.join(', ')}`,
  };
}

/** Says in the log when policies have come that cut this node off, so that it does not happen in silence. */
export const warnOfHostPolicy = (options: HostStatusOptions, logger: Pick<Logger, 'warn'>) => (): void => {
  const { state, message } = describeHostPolicy(options);
  if (state === 'Warning') logger.warn({ reason: message }, 'Policy cuts this node off');
};
