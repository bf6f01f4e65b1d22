// SPDX-License-Identifier: Apache-2.0
// Every field of a filter finds what it is about and leaves the rest, on the side of the flow that it names.
import { describe, expect, it } from '@jest/globals';
import { flow, hubbleDescriptors } from '@weir/proto';
import { propertyOf } from '../json/schema.ts';
import { compileFilters } from './compile-filters.ts';
import type { Flow } from './predicate.ts';

type Filter = flow.FlowFilter.$Properties;

const { Verdict, DropReason, TrafficDirection, IPVersion, FlowType, L7FlowType } = flow;

const end = (name: string, identity: number): NonNullable<Flow['source']> => ({
  ...{ identity, namespace: 'shop', podName: `${name}-1`, labels: [`k8s:app=${name}`], clusterName: `of-${name}` },
  workloads: [{ kind: 'Deployment', name }],
});
const both: Flow = {
  ...{ time: { seconds: 1 }, uuid: 'u-1', nodeName: 'east/n1', nodeLabels: ['zone=a'], Type: FlowType.L7 },
  ...{ verdict: Verdict.DROPPED, dropReasonDesc: DropReason.POLICY_DENIED, eventType: { type: 129, subType: 0 } },
  IP: {
    source: '10.0.0.1',
    destination: '10.0.0.2',
    sourceXlated: '192.0.2.7',
    ipVersion: IPVersion.IPv4,
    encrypted: true,
  },
  l4: { TCP: { sourcePort: 40_000, destinationPort: 80, flags: { SYN: true } } },
  ...{ source: end('client', 300), destination: end('server', 301) },
  ...{ sourceNames: ['client.example.com'], destinationNames: ['server.example.com'] },
  ...{
    sourceService: { namespace: 'shop', name: 'clients' },
    destinationService: { namespace: 'shop', name: 'servers' },
  },
  ...{ trafficDirection: TrafficDirection.INGRESS, isReply: { value: false }, interface: { index: 7, name: 'weir1' } },
  ...{ traceContext: { parent: { traceId: 'abc' } }, ipTraceId: { traceId: 9 } },
  l7: {
    type: L7FlowType.REQUEST,
    http: { code: 404, method: 'GET', url: 'http://h/cart?x=1', headers: [{ key: 'A', value: 'b' }] },
  },
};
const dns: Flow = { ...both, l7: { type: L7FlowType.REQUEST, dns: { query: 'api.example.com.' } } };

/** A filter that finds the flow, and one that does not: mostly what the other end has. */
const fields: Readonly<Record<string, readonly [found: Filter, left: Filter, each?: Flow]>> = {
  source_ip: [{ sourceIp: ['10.0.0.1'] }, { sourceIp: ['10.0.0.2'] }],
  destination_ip: [{ destinationIp: ['10.0.0.2/31'] }, { destinationIp: ['10.0.0.1'] }],
  source_ip_xlated: [{ sourceIpXlated: ['192.0.2.0/24'] }, { sourceIpXlated: ['10.0.0.1'] }],
  source_pod: [{ sourcePod: ['shop/client'] }, { sourcePod: ['shop/server'] }],
  destination_pod: [{ destinationPod: ['shop/server'] }, { destinationPod: ['shop/client'] }],
  source_fqdn: [{ sourceFqdn: ['client.*'] }, { sourceFqdn: ['server.*'] }],
  destination_fqdn: [{ destinationFqdn: ['server.*'] }, { destinationFqdn: ['client.*'] }],
  source_label: [{ sourceLabel: ['app=client'] }, { sourceLabel: ['app=server'] }],
  destination_label: [{ destinationLabel: ['app=server'] }, { destinationLabel: ['app=client'] }],
  source_service: [{ sourceService: ['shop/clients'] }, { sourceService: ['shop/servers'] }],
  destination_service: [{ destinationService: ['shop/servers'] }, { destinationService: ['shop/clients'] }],
  source_workload: [{ sourceWorkload: [{ name: 'client' }] }, { sourceWorkload: [{ name: 'server' }] }],
  destination_workload: [{ destinationWorkload: [{ name: 'server' }] }, { destinationWorkload: [{ name: 'client' }] }],
  source_cluster_name: [{ sourceClusterName: ['of-client'] }, { sourceClusterName: ['of-server'] }],
  destination_cluster_name: [{ destinationClusterName: ['of-server'] }, { destinationClusterName: ['of-client'] }],
  source_identity: [{ sourceIdentity: [300] }, { sourceIdentity: [301] }],
  destination_identity: [{ destinationIdentity: [301] }, { destinationIdentity: [300] }],
  source_port: [{ sourcePort: ['40000'] }, { sourcePort: ['80'] }],
  destination_port: [{ destinationPort: ['80'] }, { destinationPort: ['40000'] }],
  verdict: [{ verdict: [Verdict.DROPPED] }, { verdict: [Verdict.FORWARDED] }],
  drop_reason_desc: [{ dropReasonDesc: [DropReason.POLICY_DENIED] }, { dropReasonDesc: [DropReason.POLICY_DENY] }],
  event_type: [{ eventType: [{ type: 129 }] }, { eventType: [{ type: 4 }] }],
  protocol: [{ protocol: ['HTTP'] }, { protocol: ['udp'] }],
  reply: [{ reply: [false] }, { reply: [true] }],
  tcp_flags: [{ tcpFlags: [{ SYN: true }] }, { tcpFlags: [{ ACK: true }] }],
  ip_version: [{ ipVersion: [IPVersion.IPv4] }, { ipVersion: [IPVersion.IPv6] }],
  traffic_direction: [
    { trafficDirection: [TrafficDirection.INGRESS] },
    { trafficDirection: [TrafficDirection.EGRESS] },
  ],
  node_name: [{ nodeName: ['east/n*'] }, { nodeName: ['west/'] }],
  node_labels: [{ nodeLabels: ['zone in (a, b)'] }, { nodeLabels: ['zone!=a'] }],
  interface: [{ interface: [{ index: 7 }] }, { interface: [{ name: 'eth0' }] }],
  uuid: [{ uuid: ['u-1'] }, { uuid: ['u-'] }],
  trace_id: [{ traceId: ['abc'] }, { traceId: [''] }],
  ip_trace_id: [{ ipTraceId: [9] }, { ipTraceId: [0] }],
  encrypted: [{ encrypted: [true] }, { encrypted: [false] }],
  http_status_code: [{ httpStatusCode: ['4+'] }, { httpStatusCode: ['5+'] }],
  http_method: [{ httpMethod: ['get'] }, { httpMethod: ['PUT'] }],
  http_path: [{ httpPath: ['^/cart$'] }, { httpPath: ['x=1'] }],
  http_url: [{ httpUrl: ['x=1'] }, { httpUrl: ['^/cart'] }],
  http_header: [{ httpHeader: [{ key: 'A', value: 'b' }] }, { httpHeader: [{ key: 'a', value: 'b' }] }],
  dns_query: [{ dnsQuery: ['^api\\.'] }, { dnsQuery: ['^example'] }, dns],
};

describe('the fields of a filter', () => {
  it.each(Object.entries(fields))('%s', (name, [found, left, each = both]) => {
    expect([Object.keys(found), Object.keys(left)]).toEqual([[propertyOf(name)], [propertyOf(name)]]);
    expect([found, left].map((filter) => compileFilters({ whitelist: [filter] })(each))).toEqual([true, false]);
    expect([found, left].map((filter) => compileFilters({ blacklist: [filter] })(each))).toEqual([false, true]);
    // A flow that has nothing is found by none of them but those that ask for nothing.
    expect(compileFilters({ whitelist: [found] })({})).toBe(false);
  });

  it('are all that Hubble has, but for the language that is refused', () => {
    const schema = hubbleDescriptors as { nested: { flow: { nested: { FlowFilter: { fields: object } } } } };
    const all = Object.keys(schema.nested.flow.nested.FlowFilter.fields);
    expect([...Object.keys(fields), 'experimental'].toSorted()).toEqual(all.toSorted());
  });
});
