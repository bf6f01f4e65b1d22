// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from '@jest/globals';
import type { Flow } from '@weir/flow';
import { flow } from '@weir/proto';
import { Registry } from 'prom-client';
import { countFlows } from './count-flows.ts';
import { createEventRing, recordKind } from './event-ring.ts';
import { createFlowMetrics, type FlowContext, flowMetricGroups } from './flow-metrics.ts';

const { Verdict, TrafficDirection, L7FlowType, LostEventSource } = flow;
const client = { namespace: 'shop', podName: 'client-1', identity: 300, workloads: [{ name: 'client' }] };
const world = { identity: 2 };

let registry: Registry;
beforeEach(() => {
  registry = new Registry();
});
const start = (options: { groups?: readonly string[]; contexts?: readonly FlowContext[]; seriesMax?: number } = {}) =>
  createFlowMetrics({ registry, groups: flowMetricGroups, contexts: [], seriesMax: 100, ...options });
const samples = async (): Promise<string[]> =>
  (await registry.metrics()).split('\n').filter((line) => line.startsWith('weir_') && !line.includes('_bucket'));

const opened: Flow = {
  ...{ verdict: Verdict.FORWARDED, eventType: { type: 5 }, trafficDirection: TrafficDirection.EGRESS },
  ...{ source: client, destination: world, isReply: { value: false }, policyMatchType: 2 },
  l4: { TCP: { sourcePort: 1, destinationPort: 443, flags: { SYN: true, ACK: false } } },
};
const dropped: Flow = {
  ...{ verdict: Verdict.DROPPED, dropReason: 133, dropReasonDesc: 133, eventType: { type: 1, subType: 133 } },
  ...{ source: client, destination: { identity: 301 }, trafficDirection: TrafficDirection.INGRESS },
  l4: { ICMPv4: { type: 8 } },
};
const answered: Flow = {
  ...{ verdict: Verdict.FORWARDED, eventType: { type: 129 }, trafficDirection: TrafficDirection.INGRESS },
  ...{ source: { podName: 'server', namespace: 'shop' }, destination: client, isReply: { value: true } },
  l7: {
    type: L7FlowType.RESPONSE,
    latencyNs: 20_000_000,
    http: { code: 200, method: 'GET', protocol: 'HTTP/1.1' },
  },
};

describe('createFlowMetrics()', () => {
  it('counts flows by what they are and what became of them', async () => {
    const subject = start();
    [opened, dropped, answered].forEach(subject.observe);
    subject.lost({ source: LostEventSource.HUBBLE_RING_BUFFER, numEventsLost: 7 });
    expect(await samples()).toEqual([
      'weir_flow_lost_events_total{source="HUBBLE_RING_BUFFER"} 7',
      'weir_flow_flows_processed_total{type="policy-verdict",subtype="",verdict="FORWARDED"} 1',
      'weir_flow_flows_processed_total{type="drop",subtype="Policy denied",verdict="DROPPED"} 1',
      'weir_flow_flows_processed_total{type="l7",subtype="HTTP",verdict="FORWARDED"} 1',
      'weir_flow_drop_total{reason="Policy denied",protocol="ICMPv4"} 1',
      'weir_flow_flows_to_world_total{protocol="TCP",verdict="FORWARDED"} 1',
      'weir_flow_http_requests_total{method="GET",protocol="HTTP/1.1",status="200",reporter="server"} 1',
      'weir_flow_http_request_duration_seconds_sum{method="GET",reporter="server"} 0.02',
      'weir_flow_http_request_duration_seconds_count{method="GET",reporter="server"} 1',
      'weir_flow_icmp_total{family="IPv4",type="8"} 1',
      'weir_flow_policy_verdicts_total{direction="egress",match="L3-L4",action="forwarded"} 1',
      'weir_flow_policy_verdicts_total{direction="ingress",match="none",action="dropped"} 1',
      'weir_flow_port_distribution_total{protocol="TCP",port="443"} 1',
      'weir_flow_tcp_flags_total{flag="SYN",family="IPv4"} 1',
    ]);
  });

  it('has the metrics that the documentation has, with the same labels', () => {
    const page = readFileSync(join(import.meta.dirname, '../../../docs/reference/flow-metrics.md'), 'utf8');
    const rows = [...page.matchAll(/^\| `(weir_\w+)` +\| \S+ +\| (.*?) *\|/gm)];
    start();
    const served = registry.getMetricsAsArray().map((metric) => {
      const { name, labelNames } = metric as unknown as { name: string; labelNames: string[] };
      return [name, labelNames.join(', ')];
    });
    const documented = rows.map(([, name, labels = '']) => [name, labels.replaceAll('`', '')]);
    expect(documented.toSorted()).toEqual(served.toSorted());
  });

  it.each<[FlowContext[], string, string]>([
    [['pod'], 'shop/client-1', ''],
    [['namespace'], 'shop', ''],
    [['workload', 'identity'], 'client', '2'],
    [['identity'], '300', '2'],
    [['reserved-identity', 'pod'], 'shop/client-1', 'world'],
  ])('names the ends by the first of %j that they have', async (contexts, source, destination) => {
    start({ groups: ['flows-to-world'], contexts }).observe(opened);
    const ends = `source="${source}",destination="${destination}"`;
    expect(await samples()).toEqual([`weir_flow_flows_to_world_total{protocol="TCP",verdict="FORWARDED",${ends}} 1`]);
  });

  it('takes the client of a call for its source where the answer is counted', async () => {
    start({ groups: ['http'], contexts: ['pod'] }).observe(answered);
    expect((await samples())[0]).toContain('source="shop/client-1",destination="shop/server"');
  });

  it('has a bounded number of series, and counts what does not get its own', async () => {
    const subject = start({ groups: ['port-distribution'], seriesMax: 2 });
    for (const destinationPort of [1, 2, 3, 4, 1]) {
      subject.observe({ ...opened, l4: { TCP: { destinationPort } } });
    }
    expect(await samples()).toEqual([
      'weir_flow_metrics_limited_total{metric="weir_flow_port_distribution_total"} 2',
      'weir_flow_port_distribution_total{protocol="TCP",port="1"} 2',
      'weir_flow_port_distribution_total{protocol="TCP",port="2"} 1',
      'weir_flow_port_distribution_total{protocol="other",port="other"} 2',
    ]);
  });
});

it('countFlows() counts what comes into a ring, and what was gone before', async () => {
  const ring = createEventRing({ capacity: 4, rawBytes: 8 });
  const push = (value: unknown, kind: 1 | 4 = recordKind.value) => ring.push(kind, { value, timeNs: 1 });
  push(dropped);
  const abort = new AbortController();
  const metrics = start({ groups: ['port-distribution'] });
  const counting = countFlows({
    ...{ ring, metrics, signal: abort.signal },
    flowAt: (number) => ring.valueOf(number) as Flow,
  });
  for (let count = 0; count < 5; count++) push(opened);
  push({ source: LostEventSource.PERF_EVENT_RING_BUFFER, numEventsLost: 3 }, recordKind.lost);
  const expected = [
    'weir_flow_lost_events_total{source="HUBBLE_RING_BUFFER"} 2',
    'weir_flow_lost_events_total{source="PERF_EVENT_RING_BUFFER"} 3',
    'weir_flow_port_distribution_total{protocol="TCP",port="443"} 3',
  ];
  while ((await samples()).length < expected.length) await new Promise((resolve) => setTimeout(resolve, 5));
  expect((await samples()).toSorted()).toEqual(expected);
  abort.abort();
  await counting;
});
