// SPDX-License-Identifier: Apache-2.0
import { directionNames, dropReason, dropReasonTexts } from '@weir/datapath-layout';
import type { BackendTraffic, Datapath, TrafficCount } from '@weir/datapath-maps';
import type { PolicyEngine } from '@weir/policy';
import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client';
import type { EndpointTable } from '../endpoint/endpoint-table.ts';
import type { PolicyController } from '../policy/policy-controller.ts';
import type { ServiceController } from '../service/service-controller.ts';
import { mapPressureAlarm, pressureOf } from './map-pressure.ts';
import { createServiceTotals } from './service-totals.ts';

export interface AgentMetricsOptions {
  readonly datapath: Pick<Datapath, 'mapUse' | 'listTraffic' | 'eventLoss' | 'masquerade'>;
  readonly table: Pick<EndpointTable, 'list'>;
  readonly engine: Pick<PolicyEngine, 'policies' | 'revision'>;
  readonly controller: Pick<PolicyController, 'behind'>;
  readonly client: { status(): { readonly identities: number } };
  readonly services: Pick<ServiceController, 'list' | 'traffic'>;
}

type Labels = Readonly<Record<string, string>>;
type Sample = readonly [labels: Labels, value: number];

/** What a metric is, and how it is read at the moment of a scrape. Names are those of Cilium's, with `weir_` in front. */
interface Metric {
  readonly kind: 'gauge' | 'counter';
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly string[];
  readonly read: () => readonly Sample[];
}

const only = (value: number): readonly Sample[] => [[{}, value]];

const snakeCase = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

function mapMetrics({ datapath }: AgentMetricsOptions): Metric[] {
  const byMap = (value: (map: ReturnType<Datapath['mapUse']>[number]) => number): readonly Sample[] =>
    datapath.mapUse().map((map) => [{ map_name: snakeCase(map.map) }, value(map)] as const);
  const labels = ['map_name'];
  return [
    {
      ...{ kind: 'gauge', name: 'bpf_map_pressure', help: 'How full a map is, from 0 to 1', labels },
      read: () => byMap(pressureOf),
    },
    {
      ...{ kind: 'gauge', name: 'bpf_map_pressure_alarm', help: 'Pressure above which a map needs attention' },
      read: () => only(mapPressureAlarm),
    },
    {
      ...{ kind: 'gauge', name: 'bpf_map_entries', help: 'Entries in a map', labels },
      read: () => byMap(({ entries }) => entries),
    },
    {
      ...{ kind: 'gauge', name: 'bpf_map_capacity', help: 'Entries that there is room for in a map', labels },
      read: () => byMap(({ entriesMax }) => entriesMax),
    },
  ];
}

const isForwarded = ({ reason }: TrafficCount): boolean => reason === dropReason.forwarded;
const isAudited = ({ reason }: TrafficCount): boolean => reason === dropReason.audited;
const isDropped = (count: TrafficCount): boolean => !isForwarded(count) && !isAudited(count);

function trafficMetrics({ datapath }: AgentMetricsOptions): Metric[] {
  const labelsOf = (count: TrafficCount): Labels => ({
    direction: (directionNames[count.direction] ?? 'none').toUpperCase(),
    ...(isDropped(count) && { reason: dropReasonTexts[count.reason] ?? `reason ${count.reason}` }),
  });
  const kinds = [
    { name: 'drop', what: 'dropped', labels: ['reason', 'direction'], isOf: isDropped },
    { name: 'forward', what: 'forwarded', labels: ['direction'], isOf: isForwarded },
    { name: 'audit', what: 'let through only because of audit mode', labels: ['direction'], isOf: isAudited },
  ];
  const units = [
    { unit: 'count', what: 'Packets', value: ({ packets }: TrafficCount) => packets },
    { unit: 'bytes', what: 'Bytes', value: ({ bytes }: TrafficCount) => bytes },
  ];
  return kinds.flatMap(({ name, what, labels, isOf }) =>
    units.map(({ unit, what: things, value }): Metric => ({
      ...{ kind: 'counter', name: `${name}_${unit}_total`, help: `${things} ${what}`, labels },
      read: () =>
        datapath
          .listTraffic()
          .filter(isOf)
          .map((count) => [labelsOf(count), value(count)] as const),
    })),
  );
}

function stateMetrics({ table, engine, controller, client, datapath }: AgentMetricsOptions): Metric[] {
  const byState = (): readonly Sample[] => {
    const counts = new Map<string, number>();
    for (const { state } of table.list()) counts.set(state, (counts.get(state) ?? 0) + 1);
    return [...counts].map(([state, count]) => [{ state }, count] as const);
  };
  const loss = (): readonly Sample[] => {
    const { rateLimited, ringFull } = datapath.eventLoss();
    return [
      [{ cause: 'rate_limited' }, rateLimited],
      [{ cause: 'ring_full' }, ringFull],
    ];
  };
  const masquerade = (): readonly Sample[] => {
    const { mapped, retries, exhausted } = datapath.masquerade.counts();
    return [
      [{ outcome: 'mapped' }, mapped],
      [{ outcome: 'taken' }, retries],
      [{ outcome: 'exhausted' }, exhausted],
    ];
  };
  const gauge = (name: string, help: string, read: () => number): Metric => ({
    ...{ kind: 'gauge', name, help },
    read: () => only(read()),
  });
  return [
    gauge('endpoint', 'Endpoints of this node', () => table.list().length),
    { kind: 'gauge', name: 'endpoint_state', help: 'Endpoints by state', labels: ['state'], read: byState },
    gauge('policy', 'Policies that are loaded', () => engine.policies().length),
    gauge('policy_max_revision', 'Revision of the newest change of a policy', () => engine.revision),
    gauge(
      'policy_behind',
      'Identities whose policy in the kernel is older than it should be',
      () => controller.behind.size,
    ),
    gauge('identity', 'Identities that are known here', () => client.status().identities),
    {
      ...{ kind: 'counter', name: 'event_lost_total', help: 'Events that the programs could not report' },
      ...{ labels: ['cause'], read: loss },
    },
    {
      ...{ kind: 'counter', name: 'masquerade_port_total', help: 'Ports of this node that flows of pods asked for' },
      ...{ labels: ['outcome'], read: masquerade },
    },
  ];
}

function serviceMetrics({ services }: AgentMetricsOptions): Metric[] {
  const totals = createServiceTotals(services);
  const labels = ['service'];
  const each = (value: (traffic: BackendTraffic) => number): readonly Sample[] =>
    [...totals.list()].map(([service, traffic]) => [{ service }, value(traffic)] as const);
  return [
    {
      ...{ kind: 'gauge', name: 'service', help: 'Services of this node' },
      // The first that is read: those below are of the same moment.
      read() {
        totals.refresh();
        return only(services.list().length);
      },
    },
    {
      ...{ kind: 'counter', name: 'service_connections_total', help: 'Clients that were sent to a backend', labels },
      read: () => each(({ connections }) => connections),
    },
    {
      ...{ kind: 'gauge', name: 'service_active_connections', help: 'TCP connections that have not ended', labels },
      read: () => each(({ active }) => active),
    },
    {
      ...{ kind: 'counter', name: 'service_sent_bytes_total', help: 'Bytes from clients', labels },
      read: () => each(({ sentBytes }) => sentBytes),
    },
    {
      ...{ kind: 'counter', name: 'service_received_bytes_total', help: 'Bytes to clients', labels },
      read: () => each(({ receivedBytes }) => receivedBytes),
    },
  ];
}

function register(registry: Registry, { kind, name, help, labels = [], read }: Metric): void {
  const common = { name: `weir_${name}`, help, labelNames: [...labels], registers: [registry] };
  if (kind === 'gauge') {
    new Gauge({
      ...common,
      collect() {
        this.reset();
        for (const [labelled, value] of read()) this.set(labelled, value);
      },
    });
    return;
  }
  new Counter({
    ...common,
    collect() {
      this.reset();
      for (const [labelled, value] of read()) this.inc(labelled, value);
    },
  });
}

/** What the agent and its datapath count, read at the moment of a scrape, and what Node.js says of the process. */
export function createAgentMetrics(options: AgentMetricsOptions): Registry {
  const registry = new Registry();
  const parts = [mapMetrics, trafficMetrics, stateMetrics, serviceMetrics];
  for (const metric of parts.flatMap((part) => part(options))) register(registry, metric);
  collectDefaultMetrics({ register: registry });
  return registry;
}
