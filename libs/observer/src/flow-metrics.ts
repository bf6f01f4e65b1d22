// SPDX-License-Identifier: Apache-2.0
import { dropReasonText, type Flow, type FlowEndpoint, monitorType, policyMatchTypes, tracePoints } from '@weir/flow';
import { flow } from '@weir/proto';
import { Counter, Histogram, type Registry } from 'prom-client';
import { boundSeries, type Labels } from './series-limit.ts';

const { Verdict, TrafficDirection, LostEventSource, L7FlowType, IPVersion } = flow;

/** What an end of a flow may be called in labels. */
export const flowContexts = ['identity', 'namespace', 'pod', 'workload', 'reserved-identity'] as const;
export type FlowContext = (typeof flowContexts)[number];

/** Groups of metrics about flows, each switched on by its name. */
export const flowMetricGroups = [
  ...['drop', 'flow', 'flows-to-world', 'http', 'icmp', 'policy-verdict', 'port-distribution', 'tcp'],
] as const satisfies readonly string[];

export interface FlowMetricsOptions {
  readonly registry: Registry;
  readonly groups: readonly string[];
  /** What `source` and `destination` are called: the first of these that an end has. Empty: there are no such labels. */
  readonly contexts: readonly FlowContext[];
  /** Series of one metric; what would be more is counted in one whose labels are all `other`. */
  readonly seriesMax: number;
}

/** Counts flows. */
export interface FlowMetrics {
  observe(each: Flow): void;
  lost(event: flow.LostEvent.$Properties): void;
}

interface Sample {
  readonly labels: Labels;
  /** For histograms. */
  readonly value?: number;
}

interface Definition {
  readonly group: (typeof flowMetricGroups)[number];
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
  readonly kind: 'counter' | 'histogram';
  readonly of: (each: Flow) => readonly Sample[];
}

const worldIdentities: ReadonlySet<number> = new Set([2, 9, 10]);
const secondsBuckets = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10];
const reservedNames = ['unknown', 'host', 'world', 'unmanaged', 'health', 'init', 'remote-node', 'kube-apiserver'];

const layer4Protocols = ['TCP', 'UDP', 'SCTP', 'ICMPv4', 'ICMPv6', 'VRRP', 'IGMP'] as const;

function protocolOf({ l4, l7 }: Flow): string {
  if (l7?.http) return 'HTTP';
  return layer4Protocols.find((name) => l4?.[name]) ?? 'unknown';
}

const verdictOf = ({ verdict }: Flow): string => Verdict[verdict ?? 0] ?? 'VERDICT_UNKNOWN';
const typeOf = ({ eventType }: Flow): string =>
  ['drop', 'trace', 'policy-verdict', 'l7'].find((name) => typeNumbers[name] === eventType?.type) ?? 'unknown';
const typeNumbers: Readonly<Record<string, number>> = {
  ...{ drop: monitorType.drop, trace: monitorType.trace, l7: monitorType.l7 },
  'policy-verdict': monitorType.policyVerdict,
};

function subTypeOf(each: Flow): string {
  const subType = each.eventType?.subType ?? 0;
  if (typeOf(each) === 'drop') return dropReasonText(subType);
  if (typeOf(each) === 'trace') return tracePoints[subType] ?? String(subType);
  return each.l7?.http ? 'HTTP' : '';
}

const familyOf = ({ IP }: Flow): string => (IP?.ipVersion === IPVersion.IPv6 ? 'IPv6' : 'IPv4');
const isDrop = (each: Flow): boolean => each.verdict === Verdict.DROPPED;

/** Answers count for calls: only they know how a call has ended. */
function callOf({ l7, trafficDirection }: Flow): { readonly labels: Labels; readonly seconds: number } | undefined {
  if (l7?.type !== L7FlowType.RESPONSE || !l7.http) return undefined;
  const { method, protocol, code } = l7.http;
  const reporter = trafficDirection === TrafficDirection.EGRESS ? 'client' : 'server';
  const labels = { method: method ?? '', protocol: protocol ?? '', status: String(code ?? 0), reporter };
  return { labels, seconds: (l7.latencyNs ?? 0) / 1e9 };
}

const counter = (
  group: Definition['group'],
  what: Pick<Definition, 'name' | 'help' | 'labels' | 'of'>,
): Definition => ({ group, kind: 'counter', ...what });
const one = (labels: Labels): readonly Sample[] => [{ labels }];

const definitions: readonly Definition[] = [
  counter('flow', {
    ...{ name: 'flows_processed_total', help: 'Flows by kind and by what became of them' },
    labels: ['type', 'subtype', 'verdict'],
    of: (each) => one({ type: typeOf(each), subtype: subTypeOf(each), verdict: verdictOf(each) }),
  }),
  counter('drop', {
    ...{ name: 'drop_total', help: 'Flows that were dropped', labels: ['reason', 'protocol'] },
    of: (each) =>
      isDrop(each) && each.dropReason
        ? one({ reason: dropReasonText(each.dropReason), protocol: protocolOf(each) })
        : [],
  }),
  counter('flows-to-world', {
    ...{ name: 'flows_to_world_total', help: 'Flows to addresses outside of the cluster' },
    labels: ['protocol', 'verdict'],
    of: (each) =>
      worldIdentities.has(each.destination?.identity ?? 0) && each.isReply?.value !== true
        ? one({ protocol: protocolOf(each), verdict: verdictOf(each) })
        : [],
  }),
  counter('http', {
    ...{ name: 'http_requests_total', help: 'HTTP requests that were answered' },
    labels: ['method', 'protocol', 'status', 'reporter'],
    of: (each) => {
      const call = callOf(each);
      return call === undefined ? [] : one(call.labels);
    },
  }),
  {
    ...{ group: 'http', kind: 'histogram', name: 'http_request_duration_seconds' },
    ...{ help: 'Time from a request to the head of its answer', labels: ['method', 'reporter'] },
    of: (each) => {
      const call = callOf(each);
      if (call === undefined) return [];
      const { method = '', reporter = '' } = call.labels;
      return [{ labels: { method, reporter }, value: call.seconds }];
    },
  },
  counter('icmp', {
    ...{ name: 'icmp_total', help: 'ICMP packets that were reported', labels: ['family', 'type'] },
    of: ({ l4, ...each }) => {
      const icmp = l4?.ICMPv4 ?? l4?.ICMPv6;
      return !icmp ? [] : one({ family: familyOf(each), type: String(icmp.type ?? 0) });
    },
  }),
  counter('policy-verdict', {
    ...{ name: 'policy_verdicts_total', help: 'First packets of connections, by what policy said' },
    labels: ['direction', 'match', 'action'],
    of: (each) => {
      const isVerdict = each.eventType?.type === monitorType.policyVerdict || (isDrop(each) && each.dropReason === 133);
      const match = policyMatchTypes[each.policyMatchType ?? 0] ?? 'unknown';
      const direction = (TrafficDirection[each.trafficDirection ?? 0] ?? '').toLowerCase();
      return isVerdict ? one({ direction, match, action: verdictOf(each).toLowerCase() }) : [];
    },
  }),
  counter('port-distribution', {
    ...{ name: 'port_distribution_total', help: 'Connections by the port that they are to' },
    labels: ['protocol', 'port'],
    of: (each) => {
      const port = (each.l4?.TCP ?? each.l4?.UDP)?.destinationPort;
      const isFirst = each.eventType?.type === monitorType.policyVerdict;
      return port && isFirst ? one({ protocol: protocolOf(each), port: String(port) }) : [];
    },
  }),
  counter('tcp', {
    ...{ name: 'tcp_flags_total', help: 'TCP flags of packets that were reported', labels: ['flag', 'family'] },
    of: (each) =>
      Object.entries(each.l4?.TCP?.flags ?? {}).flatMap(([flag, isSet]) =>
        isSet === true && !each.l7 ? [{ labels: { flag, family: familyOf(each) } }] : [],
      ),
  }),
];

const nameParts: Readonly<Record<FlowContext, (end: FlowEndpoint) => string>> = {
  identity: ({ identity }) => String(identity ?? 0),
  namespace: ({ namespace }) => namespace ?? '',
  pod: ({ namespace, podName }) => (podName ? `${namespace ?? ''}/${podName}` : ''),
  workload: ({ workloads }) => workloads?.[0]?.name ?? '',
  'reserved-identity': ({ identity }) => reservedNames[identity ?? 0] ?? '',
};

function nameOf(end: FlowEndpoint | null | undefined, contexts: readonly FlowContext[]): string {
  for (const context of contexts) {
    const name = end ? nameParts[context](end) : '';
    if (name !== '') return name;
  }
  return '';
}

/** Registers the metrics of the groups, as `weir_flow_…`, and counts what it is given in them. */
export function createFlowMetrics({ registry, groups, contexts, seriesMax }: FlowMetricsOptions): FlowMetrics {
  const ends = contexts.length > 0 ? ['source', 'destination'] : [];
  const registers = [registry];
  const lost = new Counter({
    ...{ name: 'weir_flow_lost_events_total', help: 'Events that were lost before they could be counted', registers },
    labelNames: ['source'],
  });
  const limited = new Counter({
    ...{ name: 'weir_flow_metrics_limited_total', help: 'Flows counted as `other` for want of series', registers },
    labelNames: ['metric'],
  });
  const metrics = definitions
    .filter(({ group }) => groups.includes(group))
    .map(({ name, help, labels, kind, of }) => {
      const common = { name: `weir_flow_${name}`, help, labelNames: [...labels, ...ends], registers };
      const limit = boundSeries(common.labelNames, { seriesMax, onLimit: () => limited.inc({ metric: common.name }) });
      if (kind === 'counter') {
        const total = new Counter(common);
        return { of, count: (sample: Sample) => total.inc(limit(sample.labels)) };
      }
      const histogram = new Histogram({ ...common, buckets: secondsBuckets });
      return { of, count: ({ labels: all, value = 0 }: Sample) => histogram.observe(limit(all), value) };
    });
  // The client of a call is its source, also where the answer is counted.
  const namesOf = ({ source, destination, l7 }: Flow): Labels => {
    if (contexts.length === 0) return {};
    const [from, to] = [nameOf(source, contexts), nameOf(destination, contexts)];
    return l7?.type === L7FlowType.RESPONSE ? { source: to, destination: from } : { source: from, destination: to };
  };
  return {
    observe(each) {
      let names: Labels | undefined;
      for (const { of, count } of metrics) {
        for (const sample of of(each)) {
          names ??= namesOf(each);
          count({ ...sample, labels: { ...sample.labels, ...names } });
        }
      }
    },
    lost: ({ source, numEventsLost }) => lost.inc({ source: LostEventSource[source ?? 0] ?? '' }, numEventsLost ?? 0),
  };
}
