// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { cidrOfAddress, formatIpAddress, identityScope, type IpAddress, reservedIdentity } from '@weir/model';
import { type FlowEnd, type HttpRequest, parseFlowEnd, type PolicyEngine, traceReport } from '@weir/policy';
import type { AgentServiceDefinition, weir } from '@weir/proto';
import type { Handlers } from '@weir/rpc';
import type { Endpoint } from '../endpoint/endpoint.ts';
import type { EndpointTable } from '../endpoint/endpoint-table.ts';
import { type DesiredIpcache, identityOfAddress } from '../ipcache/desired-ipcache.ts';
import { policyName } from '../policy/policy-names.ts';
import { findEndpoint } from './endpoint-message.ts';

/** Who knows the ends of flows, and what becomes of them. */
export interface TraceCallsOptions {
  readonly engine: PolicyEngine;
  readonly table: EndpointTable;
  readonly ipcache: Pick<DesiredIpcache, 'entries'>;
}

const protocolMax = 255;
const portMax = 65_535;

function endOfEndpoint({ record, subject, state }: Endpoint): FlowEnd {
  if (subject !== undefined) return { kind: 'subject', id: subject };
  const name = `${record.namespace}/${record.pod}`;
  throw new WeirError('FAILED_PRECONDITION', `Endpoint ${record.id} (${name}) has no identity yet: it is ${state}`);
}

/** Who an address is: an endpoint, whoever the ipcache says, or one outside of which only the prefix counts. */
function endOfAddress(address: IpAddress, { table, ipcache }: TraceCallsOptions): FlowEnd {
  const endpoint = table.findAddress(formatIpAddress(address));
  if (endpoint !== undefined) return endOfEndpoint(endpoint);
  const id = identityOfAddress(ipcache, address);
  const isOutside = identityScope(id) === 'local-cidr' || id === reservedIdentity.world;
  return isOutside ? { kind: 'prefix', prefix: cidrOfAddress(address) } : { kind: 'identity', id };
}

function resolveEnd(text: string, options: TraceCallsOptions): FlowEnd {
  const end = parseFlowEnd(text);
  if (end.kind === 'endpoint') return endOfEndpoint(findEndpoint(options.table, end.reference));
  return end.kind === 'address' ? endOfAddress(end.address, options) : end;
}

function requestOf({ method, path, host, headers }: weir.agent.v1.ITraceRequest): HttpRequest {
  if (!method || !path) throw new WeirError('INVALID_ARGUMENT', 'request: expected a method and a path');
  return {
    method,
    path,
    ...(host && { host }),
    headers: (headers ?? []).map(({ name, value }) => ({ name: name ?? '', value: value ?? '' })),
  };
}

function checkNumber(value: number, { field, max }: { readonly field: string; readonly max: number }): void {
  if (value <= max) return;
  throw new WeirError('INVALID_ARGUMENT', `${field}: ${value} is too large; expected 0–${max}`);
}

/** Answers to "what becomes of this flow, and why?", and to "whom do the selectors select?". */
export function traceCalls(
  options: TraceCallsOptions,
): Pick<Handlers<typeof AgentServiceDefinition>, 'tracePolicy' | 'listSelectors'> {
  const { engine, table } = options;
  return {
    tracePolicy({ source, destination, protocol, port, request }) {
      checkNumber(protocol, { field: 'protocol', max: protocolMax });
      checkNumber(port, { field: 'port', max: portMax });
      const explanation = engine.explain({
        source: resolveEnd(source, options),
        destination: resolveEnd(destination, options),
        ...(request && { request: requestOf(request) }),
        protocol,
        port,
      });
      return traceReport(explanation, engine.policies());
    },
    listSelectors: () => ({
      selectors: engine.selectors().map(({ selector, policies, subjects, identities }) => ({
        selector,
        policies: policies.map(policyName),
        endpoints: table.list().flatMap(({ subject, record }) => (subjects.includes(subject ?? 0) ? [record.id] : [])),
        identities: [...identities],
      })),
    }),
  };
}
