// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { formatIpAddress, formatLabel, formatNamedPort, tryParseIpAddress } from '@weir/model';
import type { PolicyEngine } from '@weir/policy';
import type { weir } from '@weir/proto';
import type { Endpoint } from '../endpoint/endpoint.ts';
import type { EndpointTable } from '../endpoint/endpoint-table.ts';
import type { IdentityDirectory } from '../identity/identity-source.ts';
import type { PolicyController } from '../policy/policy-controller.ts';
import { policyName } from '../policy/policy-names.ts';

/** What is asked about an endpoint's policy and identity. */
export interface EndpointPolicySource {
  readonly identities: Pick<IdentityDirectory, 'waitingReason'>;
  readonly engine: PolicyEngine;
  readonly controller: Pick<PolicyController, 'behind'>;
}

/** What the API says of an endpoint. One whose policy the kernel does not have yet is `regenerating`. */
export function endpointMessage(
  endpoint: Endpoint,
  { engine, controller, identities }: EndpointPolicySource,
): weir.agent.v1.IEndpoint {
  const { record, identity, subject, labels } = endpoint;
  const behind = endpoint.state === 'ready' ? controller.behind.get(subject ?? 0) : undefined;
  const { state, reason } = behind === undefined ? endpoint : { state: 'regenerating', reason: behind.reason };
  const waits = endpoint.state === 'ready' ? undefined : identities.waitingReason(labels);
  const policy = subject === undefined ? undefined : engine.resolve(subject);
  return {
    id: record.id,
    containerId: record.containerId,
    namespace: record.namespace,
    pod: record.pod,
    state,
    reason: [reason, waits].filter((each) => each !== undefined).join('; '),
    identity: identity ?? 0,
    labels: labels.labels.map(formatLabel),
    ipv4: record.ipv4,
    ipv6: record.ipv6,
    mac: record.mac,
    hostInterface: record.hostInterface,
    hostIfindex: record.hostIfindex,
    netns: record.netns,
    ingressEnforced: policy?.ingressEnforced ?? false,
    egressEnforced: policy?.egressEnforced ?? false,
    policyRevision: endpoint.state === 'ready' ? (behind?.revision ?? engine.revision) : 0,
    createdMs: record.createdMs,
    ...{ audit: record.audit ?? false, aggregation: record.aggregation ?? '' },
    namedPorts: (record.namedPorts ?? []).map(formatNamedPort),
    policies: policy === undefined ? [] : engine.policiesSelecting(policy.subject).map(policyName),
  };
}

/**
 * Finds an endpoint by number, address, `namespace/pod` (`default/` may be left out) or container id, in this order. Throws
 * NOT_FOUND, or INVALID_ARGUMENT when there are several.
 */
export function findEndpoint(table: EndpointTable, reference: string | null | undefined): Endpoint {
  const text = reference ?? '';
  if (text === '') throw new WeirError('INVALID_ARGUMENT', 'endpoint.reference is empty; expected an endpoint');
  const byNumber = /^\d+$/.test(text) ? table.get(Number(text)) : undefined;
  if (byNumber !== undefined) return byNumber;
  const address = tryParseIpAddress(text);
  const byAddress = address === undefined ? undefined : table.findAddress(formatIpAddress(address));
  if (byAddress !== undefined) return byAddress;
  const found = table.list().filter(({ record }) => {
    const pod = text.includes('/') ? `${record.namespace}/${record.pod}` : record.namespace === 'default' && record.pod;
    return pod === text || record.containerId === text;
  });
  const [only] = found;
  if (only !== undefined && found.length === 1) return only;
  if (only !== undefined) {
    const ids = found.map(({ record }) => `${record.id} (${record.ifName})`).join(', ');
    throw new WeirError('INVALID_ARGUMENT', `"${text}" is several endpoints: ${ids}; name one by its number`);
  }
  throw new WeirError(
    'NOT_FOUND',
    `"${text}" is not an endpoint of this node (a number, namespace/pod, container id or address)`,
  );
}
