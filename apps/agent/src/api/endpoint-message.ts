// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { formatLabel, tryParseIpAddress, formatIpAddress } from '@weir/model';
import type { PolicyEngine } from '@weir/policy';
import type { weir } from '@weir/proto';
import type { Endpoint } from '../endpoint/endpoint.ts';
import type { EndpointTable } from '../endpoint/endpoint-table.ts';
import { policyName } from '../policy/policy-names.ts';

/** What the API says of an endpoint. */
export function endpointMessage(endpoint: Endpoint, engine: PolicyEngine): weir.agent.v1.IEndpoint {
  const { record, state, reason, identity, labels } = endpoint;
  const policy = identity === undefined ? undefined : engine.resolve(identity);
  return {
    id: record.id,
    containerId: record.containerId,
    namespace: record.namespace,
    pod: record.pod,
    state,
    reason: reason ?? '',
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
    policyRevision: state === 'ready' ? engine.revision : 0,
    createdMs: record.createdMs,
    policies: policy === undefined ? [] : engine.policiesSelecting(policy.subject).map(policyName),
  };
}

/** Finds an endpoint by number, `namespace/pod`, container id or address. Throws NOT_FOUND, or INVALID_ARGUMENT. */
export function findEndpoint(table: EndpointTable, reference: string | null | undefined): Endpoint {
  const text = reference ?? '';
  if (text === '') throw new WeirError('INVALID_ARGUMENT', 'endpoint.reference is empty; expected an endpoint');
  const address = tryParseIpAddress(text);
  const found =
    address === undefined
      ? table
          .list()
          .find(
            ({ record }) =>
              String(record.id) === text ||
              `${record.namespace}/${record.pod}` === text ||
              record.containerId === text ||
              (record.namespace === 'default' && record.pod === text),
          )
      : table.findAddress(formatIpAddress(address));
  if (found !== undefined) return found;
  throw new WeirError(
    'NOT_FOUND',
    `"${text}" is not an endpoint of this node (a number, namespace/pod, container id or address)`,
  );
}
