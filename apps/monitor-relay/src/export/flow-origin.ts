// SPDX-License-Identifier: Apache-2.0
import type { Attributes, HrTime } from '@opentelemetry/api';
import { type Resource, resourceFromAttributes } from '@opentelemetry/resources';
import type { Flow, FlowEndpoint } from '@weir/flow';
import { flow } from '@weir/proto';

const { TrafficDirection, Verdict } = flow;
// Names of services; one that is not there any more is made anew when it is back.
const resourcesMax = 4_096;

/** What all that is exported comes from. */
export const instrumentationScope = { name: 'weir/monitor-relay' };

const labelOf = ({ labels }: FlowEndpoint, keys: readonly string[]): string | undefined => {
  for (const key of keys) {
    const label = labels?.find((each) => each.startsWith(`k8s:${key}=`));
    if (label !== undefined) return label.slice(label.indexOf('=') + 1);
  }
  return undefined;
};

/** What an end is called in a map of services: by its application's label, workload or pod, or by its address. */
export function serviceNameOf(end: FlowEndpoint | null | undefined, address = ''): string {
  if (!end) return address || 'unknown';
  const app = labelOf(end, ['app.kubernetes.io/name', 'app', 'k8s-app', 'name']);
  const reserved = end.labels?.find((label) => label.startsWith('reserved:'))?.slice('reserved:'.length);
  return app ?? (end.workloads?.[0]?.name || end.podName || reserved || address || 'unknown');
}

/** Makes resources, the same object for the same service: exporters put together what has the same one. */
export function createResources(): (end: FlowEndpoint | null | undefined, flow: Flow) => Resource {
  const known = new Map<string, Resource>();
  return (end, { nodeName }) => {
    const attributes: Attributes = {
      'service.name': serviceNameOf(end),
      ...(end?.namespace && { 'service.namespace': end.namespace, 'k8s.namespace.name': end.namespace }),
      ...(end?.podName && { 'k8s.pod.name': end.podName }),
      ...(nodeName && { 'k8s.node.name': nodeName }),
    };
    const key = Object.values(attributes).join('\0');
    const before = known.get(key);
    if (before !== undefined) return before;
    if (known.size >= resourcesMax) known.clear();
    const resource = resourceFromAttributes(attributes);
    known.set(key, resource);
    return resource;
  };
}

/** An end of a flow in attributes; `role` is `source` or `destination`. */
export function endAttributes(role: string, end: FlowEndpoint | null | undefined): Attributes {
  if (!end) return {};
  return {
    ...(end.podName && { [`weir.${role}.pod`]: end.podName }),
    ...(end.namespace && { [`weir.${role}.namespace`]: end.namespace }),
    [`weir.${role}.service`]: serviceNameOf(end),
    [`weir.${role}.identity`]: end.identity ?? 0,
  };
}

const policyName = ({ kind, namespace, name }: flow.Policy.$Properties): string =>
  [kind, namespace, name].filter(Boolean).join('/');

/** What was decided about a flow, and by which policies. */
export function verdictAttributes(each: Flow): Attributes {
  const allowed = [...(each.ingressAllowedBy ?? []), ...(each.egressAllowedBy ?? [])].map(policyName);
  const denied = [...(each.ingressDeniedBy ?? []), ...(each.egressDeniedBy ?? [])].map(policyName);
  return {
    'weir.verdict': (Verdict[each.verdict ?? 0] ?? '').toLowerCase(),
    'weir.direction': (TrafficDirection[each.trafficDirection ?? 0] ?? '').toLowerCase(),
    ...(allowed.length > 0 && { 'weir.policy.allowed_by': allowed }),
    ...(denied.length > 0 && { 'weir.policy.denied_by': denied }),
  };
}

/** When a flow was, to the nanosecond. */
export const hrTimeOf = ({ time }: Flow): HrTime => [time?.seconds ?? 0, time?.nanos ?? 0];
