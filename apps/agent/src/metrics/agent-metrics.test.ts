// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { direction, dropReason } from '@weir/datapath-layout';
import { createMemoryDatapath, type MemoryDatapath } from '@weir/datapath-testing';
import { Counter, type Registry } from 'prom-client';
import { createAgentMetrics } from './agent-metrics.ts';
import { mapPressureAlarm, mapsUnderPressure } from './map-pressure.ts';

let datapath: MemoryDatapath;
let registry: Registry;
let samples: () => Promise<string[]>;
beforeEach(() => {
  datapath = createMemoryDatapath({ policyEntriesMax: 4 });
  registry = createAgentMetrics({
    datapath,
    table: { list: () => ['ready', 'ready', 'restoring'].map((state) => ({ state })) as never },
    engine: { policies: () => [{}, {}] as never, revision: 7 },
    controller: { behind: new Map([[300, { revision: 1, reason: 'full' }]]) },
    client: { status: () => ({ identities: 40 }) },
    services: {
      list: () => [{ namespace: 'default', name: 'web' }] as never,
      traffic: () => () => new Map([['a', { connections: 5, active: 1, sentBytes: 60, receivedBytes: 700 }]]),
    },
  });
  samples = async () => (await registry.metrics()).split('\n').filter((line) => line.startsWith('weir_'));
});

const fill = (count: number) =>
  datapath.apply({
    policies: new Map([
      [
        1,
        {
          ...{ ingressEnforced: true, egressEnforced: false },
          entries: Array.from({ length: count }, (_, port) => ({
            ...{ direction: direction.ingress, peerIdentity: 300, protocol: 6, port: port + 1, verdict: 1 as const },
            ...{ ruleSet: 0, cookie: 0 },
          })),
        },
      ],
    ]),
  });

describe('createAgentMetrics()', () => {
  it('has the metrics that the documentation has, with the same labels', async () => {
    const page = readFileSync(join(import.meta.dirname, '../../../../docs/reference/metrics.md'), 'utf8');
    const rows = [...page.matchAll(/^\| `(weir_\w+)` +\| (\w+) +\| (.*?) *\|/gm)];
    const documented = rows.map(([, name, kind, labels = '']) => [name, kind, labels.replaceAll('`', '')]);
    const served = registry
      .getMetricsAsArray()
      .filter(({ name }) => name.startsWith('weir_'))
      .map((metric) => {
        const { name, labelNames } = metric as unknown as { name: string; labelNames: string[] };
        return [name, metric instanceof Counter ? 'counter' : 'gauge', labelNames.join(', ')];
      });
    expect(documented.toSorted()).toEqual(served.toSorted());
  });

  it('says how full the maps are, and from when on that is too much', async () => {
    await fill(3);
    expect(await samples()).toEqual(
      expect.arrayContaining([
        'weir_bpf_map_pressure{map_name="policy"} 0.75',
        'weir_bpf_map_entries{map_name="policy"} 3',
        'weir_bpf_map_capacity{map_name="policy"} 4',
        `weir_bpf_map_pressure_alarm ${mapPressureAlarm}`,
      ]),
    );
    expect(mapsUnderPressure(datapath.mapUse())).toEqual([]);
    await fill(4);
    expect(await samples()).toContain('weir_bpf_map_pressure{map_name="policy"} 1');
    expect(mapsUnderPressure(datapath.mapUse())).toMatchObject([{ map: 'policy' }]);
  });

  it('counts packets by what became of them, the same ones once however often it is asked', async () => {
    datapath.setTraffic([
      { reason: dropReason.forwarded, direction: direction.egress, packets: 5, bytes: 500 },
      { reason: dropReason.audited, direction: direction.ingress, packets: 1, bytes: 60 },
      { reason: dropReason.policyDenied, direction: direction.ingress, packets: 2, bytes: 120 },
    ]);
    await samples();
    expect(await samples()).toEqual(
      expect.arrayContaining([
        'weir_forward_count_total{direction="EGRESS"} 5',
        'weir_forward_bytes_total{direction="EGRESS"} 500',
        'weir_audit_count_total{direction="INGRESS"} 1',
        'weir_drop_count_total{direction="INGRESS",reason="Policy denied"} 2',
        'weir_drop_bytes_total{direction="INGRESS",reason="Policy denied"} 120',
      ]),
    );
  });

  it('says what there is, what is behind and what was lost', async () => {
    datapath.setEventLoss({ rateLimited: 3, ringFull: 4 });
    datapath.masquerade.setCounts({ mapped: 9, retries: 8, exhausted: 1 });
    expect(await samples()).toEqual(
      expect.arrayContaining([
        'weir_endpoint 3',
        'weir_endpoint_state{state="ready"} 2',
        'weir_endpoint_state{state="restoring"} 1',
        'weir_policy 2',
        'weir_policy_max_revision 7',
        'weir_policy_behind 1',
        'weir_identity 40',
        'weir_event_lost_total{cause="rate_limited"} 3',
        'weir_event_lost_total{cause="ring_full"} 4',
        'weir_masquerade_port_total{outcome="mapped"} 9',
        'weir_masquerade_port_total{outcome="taken"} 8',
        'weir_masquerade_port_total{outcome="exhausted"} 1',
        'weir_service 1',
        'weir_service_connections_total{service="default/web"} 5',
        'weir_service_active_connections{service="default/web"} 1',
        'weir_service_sent_bytes_total{service="default/web"} 60',
        'weir_service_received_bytes_total{service="default/web"} 700',
      ]),
    );
  });
});
