// SPDX-License-Identifier: Apache-2.0
import type { ClusterChanges } from '@weir/identity-client';
import { formatLabel, type LabelSet, protocolNumber, type Service, serviceProtocols } from '@weir/model';
import type { EntryOrigin, PolicyEngine, PolicyUpdate } from '@weir/policy';
import { flow } from '@weir/proto';
import type { Endpoint } from '../endpoint/endpoint.ts';
import type { EndpointTable } from '../endpoint/endpoint-table.ts';
import { identityOfSubject } from '../policy/policy-subjects.ts';
import type { NumberFeed } from '../policy/policy-translation.ts';
import type { ServiceEvent } from '../service/service-controller.ts';
import type { NameChange, NamedEndpoint, NamedService } from './thread-messages.ts';

type AgentEvent = flow.AgentEvent.$Properties;

/** Where the agent's changes go. */
export interface FeedOutput {
  readonly names: (changes: readonly NameChange[]) => void;
  readonly event: (event: AgentEvent) => void;
}

const { AgentEventType } = flow;

const policiesOf = (origins: readonly EntryOrigin[]): string[] => [...new Set(origins.map(({ policy }) => policy))];

const namedEndpoint = ({ record }: Endpoint): NamedEndpoint => {
  const { id, namespace, pod, ipv4, ipv6, hostInterface, hostIfindex } = record;
  return { id, namespace, pod, ipv4, ipv6, hostInterface, hostIfindex };
};

const labelTexts = ({ labels }: LabelSet): string[] => labels.map(formatLabel).toSorted();

/** An endpoint as flows name it from now on. */
export const endpointChange = (endpoint: Endpoint): NameChange => ({
  ...{ kind: 'endpoint', atMs: Date.now(), endpoint: namedEndpoint(endpoint) },
});
/** The pods of other nodes that have come, and those that have gone, as flows name them from now on. */
export function remotePodChanges({
  endpoints,
  deletedEndpoints: addresses,
}: Pick<ClusterChanges, 'endpoints' | 'deletedEndpoints'>): NameChange[] {
  const atMs = Date.now();
  const pods = endpoints.flatMap(([address, { namespace, pod }]) => (pod === '' ? [] : [{ address, namespace, pod }]));
  return [
    ...(pods.length > 0 ? [{ kind: 'remote-pods', atMs, pods } as const] : []),
    ...(addresses.length > 0 ? [{ kind: 'remote-pods-gone', atMs, addresses } as const] : []),
  ];
}
/** The labels of an identity from now on. */
export const identityChange = (identity: number, labels: LabelSet): NameChange => ({
  ...{ kind: 'identity', atMs: Date.now(), identity, labels: labelTexts(labels) },
});

/** A service, with each of its backends by the protocols of the frontends that lead there. */
function namedService({ namespace, name, frontends, backends }: Service): NamedService {
  const ends = frontends.map(({ address, port, protocol }) => ({ address, port, protocol: protocolNumber[protocol] }));
  const protocolsOf = (portName: string) =>
    serviceProtocols.filter((each) =>
      frontends.some((frontend) => frontend.protocol === each && frontend.portName === portName),
    );
  return {
    ...{ namespace, name, frontends: ends },
    backends: backends.flatMap(({ address, port, portName }) =>
      protocolsOf(portName).map((protocol) => ({ address, port, protocol: protocolNumber[protocol] })),
    ),
  };
}
/** What an address and a port are called by from now on. */
export function serviceChange(event: ServiceEvent): NameChange {
  const atMs = Date.now();
  if (event.kind === 'deleted') return { kind: 'service-gone', atMs, key: event.key };
  return { kind: 'service', atMs, service: namedService(event.service) };
}
/** The policies behind a number of policy entries. */
export const cookieChange = (number: number, origins: readonly EntryOrigin[]): NameChange => ({
  ...{ kind: 'cookie', number, policies: policiesOf(origins) },
});
/** The policies behind a rule set of the proxy. */
export const ruleSetChange = (number: number, origins: readonly EntryOrigin[]): NameChange => ({
  ...{ kind: 'rule-set', number, policies: policiesOf(origins) },
});
/** The policies that keep an identity to what they allow, from now on. */
export const defaultDenyChange = (
  engine: Pick<PolicyEngine, 'policiesInDefaultDeny'>,
  subject: number,
): NameChange => ({
  kind: 'default-deny',
  atMs: Date.now(),
  subject: {
    // Which rules select depends on labels alone.
    identity: identityOfSubject(subject),
    ingress: [...engine.policiesInDefaultDeny(subject, 'ingress')],
    egress: [...engine.policiesInDefaultDeny(subject, 'egress')],
  },
});

const endpointEvent = (type: flow.AgentEventType, { record, labels }: Endpoint): AgentEvent => ({
  type,
  endpointUpdate: { id: record.id, labels: labelTexts(labels), podName: record.pod, namespace: record.namespace },
});

/** The same table, which says what becomes of endpoints. */
export function watchEndpoints(table: EndpointTable, output: FeedOutput): EndpointTable {
  const tell = (endpoint: Endpoint, before: Endpoint | undefined): void => {
    const { id } = endpoint.record;
    if (before?.record !== endpoint.record) output.names([endpointChange(endpoint)]);
    if (before === undefined) output.event(endpointEvent(AgentEventType.ENDPOINT_CREATED, endpoint));
    if (endpoint.state === before?.state) return;
    const regenerated = { id, labels: labelTexts(endpoint.labels), error: endpoint.reason ?? '' };
    if (endpoint.state === 'ready') {
      output.event({ type: AgentEventType.ENDPOINT_REGENERATE_SUCCESS, endpointRegenerate: regenerated });
    } else if (endpoint.state === 'invalid') {
      output.event({ type: AgentEventType.ENDPOINT_REGENERATE_FAILURE, endpointRegenerate: regenerated });
    }
  };
  return {
    ...table,
    put(endpoint) {
      const before = table.get(endpoint.record.id);
      const put = table.put(endpoint);
      tell(put, before);
      return put;
    },
    delete(id) {
      const before = table.get(id);
      table.delete(id);
      if (before === undefined) return;
      output.names([{ kind: 'endpoint-gone', atMs: Date.now(), id }]);
      output.event(endpointEvent(AgentEventType.ENDPOINT_DELETED, before));
    },
  };
}

const policyEvent = (type: flow.AgentEventType, change: { labels: string[]; revision: number; ruleCount: number }) => ({
  type,
  policyUpdate: change,
});

function tellPolicies(update: PolicyUpdate, revision: number, output: FeedOutput): void {
  const upserted = update.upsertPolicies ?? [];
  const deleted = update.deletePolicies ?? [];
  const identities = update.upsertIdentities ?? [];
  if (identities.length > 0) output.names(identities.map(({ id, labels }) => identityChange(id, labels)));
  if (upserted.length > 0) {
    const labels = upserted.map(({ key }) => key);
    output.event(policyEvent(AgentEventType.POLICY_UPDATED, { labels, revision, ruleCount: upserted.length }));
  }
  if (deleted.length > 0) {
    output.event(
      policyEvent(AgentEventType.POLICY_DELETED, { labels: [...deleted], revision, ruleCount: deleted.length }),
    );
  }
}

/** The same engine, which says what its updates mean for flows. */
export function watchEngine(engine: PolicyEngine, output: FeedOutput): PolicyEngine {
  return {
    ...engine,
    get revision() {
      return engine.revision;
    },
    apply(update) {
      const result = engine.apply(update);
      const subjects = result.subjects.filter(
        ({ kind, rulesChanged }) => kind === 'added' || (kind !== 'removed' && rulesChanged),
      );
      if (subjects.length > 0) output.names(subjects.map(({ subject }) => defaultDenyChange(engine, subject)));
      tellPolicies(update, engine.revision, output);
      return result;
    },
  };
}

/** Says what the numbers of policy entries and rule sets mean. */
export const numberFeed = (output: FeedOutput): NumberFeed => ({
  cookie: (number, origins) => output.names([cookieChange(number, origins)]),
  ruleSet: (number, origins) => output.names([ruleSetChange(number, origins)]),
});
