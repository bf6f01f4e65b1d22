// SPDX-License-Identifier: Apache-2.0
import type { Datapath } from '@weir/datapath-maps';
import { WeirError } from '@weir/errors';
import { flowAggregations, formatIpAddress, formatLabel, isFlowAggregation, reservedIdentities } from '@weir/model';
import { defaultFeatures, type Policy, type PolicyEngine, type PolicyFile } from '@weir/policy';
import { AgentServiceDefinition, type weir } from '@weir/proto';
import { type Handlers, type RpcService, rpcService } from '@weir/rpc';
import type { EndpointConfig, EndpointManager } from '../endpoint/endpoint-manager.ts';
import type { EndpointTable } from '../endpoint/endpoint-table.ts';
import type { NamespaceLabels } from '../endpoint/namespace-labels.ts';
import type { Namespaces } from '../endpoint/namespaces.ts';
import type { IdentityDirectory } from '../identity/identity-source.ts';
import { hostSubject } from '../host/host-policy.ts';
import type { DesiredIpcache } from '../ipcache/desired-ipcache.ts';
import type { Monitor } from '../monitor/monitor.ts';
import { version } from '../options.ts';
import type { PolicyController } from '../policy/policy-controller.ts';
import { policyName } from '../policy/policy-names.ts';
import type { PolicyOutcome, PolicyService } from '../policy/policy-service.ts';
import type { PolicySlots } from '../policy/policy-slots.ts';
import { identityOfSubject } from '../policy/policy-subjects.ts';
import type { PolicyTranslation } from '../policy/policy-translation.ts';
import {
  connectionMessage,
  ipcacheMessage,
  masqueradedFlowMessage,
  metricMessage,
  policyEntryMessage,
} from './datapath-messages.ts';
import { nodeMessages, type NodeSources, tunnelMessage } from './node-message.ts';
import { endpointMessage, findEndpoint } from './endpoint-message.ts';
import { endpointRules } from './endpoint-rules.ts';
import { trafficByPolicy } from './rule-traffic.ts';
import { traceCalls } from './trace-calls.ts';

export interface AgentServiceOptions {
  readonly table: EndpointTable;
  readonly manager: EndpointManager;
  readonly namespaces: Namespaces;
  readonly engine: PolicyEngine;
  readonly controller: Pick<PolicyController, 'behind'>;
  readonly policies: PolicyService;
  readonly slots: PolicySlots;
  readonly translation: PolicyTranslation;
  readonly identities: IdentityDirectory;
  readonly datapath: Datapath;
  readonly ipcache: Pick<DesiredIpcache, 'entries'>;
  readonly monitor: Pick<Monitor, 'watch'>;
  readonly nodeName: string;
  readonly cluster: NodeSources['cluster'];
  readonly routes: NodeSources['routes'];
  readonly nodeIdentities: NodeSources['nodeIdentities'];
  readonly status: () => weir.agent.v1.IGetStatusResponse;
  /** Whether namespaces and their labels are Kubernetes' alone. Default: they are not. */
  readonly areNamespacesOwned?: boolean;
}

type AgentHandlers = Handlers<typeof AgentServiceDefinition>;
type Part<Names extends keyof AgentHandlers> = Pick<AgentHandlers, Names>;

const monitorTypes: readonly string[] = ['drop', 'policy-verdict', 'trace', 'l7'];

/** The local API of the agent: see proto/weir/agent/v1/agent.proto. */
export function createAgentService(options: AgentServiceOptions): RpcService {
  return rpcService(AgentServiceDefinition, {
    getStatus: () => options.status(),
    listNodes: () => ({ nodes: nodeMessages(options) }),
    ...endpointCalls(options),
    ...namespaceCalls(options),
    ...identityCalls(options),
    ...policyCalls(options),
    ...traceCalls(options),
    ...datapathCalls(options),
    monitor: ({ types, relatedTo }, { signal }) => {
      const unknown = types.find((type) => !monitorTypes.includes(type));
      if (unknown !== undefined) {
        throw new WeirError('INVALID_ARGUMENT', `types: "${unknown}" is not one of ${monitorTypes.join(', ')}`);
      }
      const endpoints = relatedTo.map(({ reference }) => findEndpoint(options.table, reference).record.id);
      return options.monitor.watch({ types: new Set(types), endpoints: new Set(endpoints) }, signal);
    },
  });
}

const splitLabel = (text: string): readonly [string, string] => {
  const equals = text.indexOf('=');
  return equals < 0 ? [text, ''] : [text.slice(0, equals), text.slice(equals + 1)];
};

function endpointConfig({ audit, aggregation }: { audit: string; aggregation: string }): EndpointConfig {
  if (!['on', 'off', ''].includes(audit)) {
    throw new WeirError('INVALID_ARGUMENT', `audit: "${audit}" is neither "on" nor "off"`);
  }
  if (aggregation !== '' && !isFlowAggregation(aggregation)) {
    const expected = flowAggregations.join(', ');
    throw new WeirError('INVALID_ARGUMENT', `aggregation: "${aggregation}" is not one of ${expected}`);
  }
  return { ...(audit !== '' && { audit: audit === 'on' }), ...(aggregation !== '' && { aggregation }) };
}

function endpointCalls({
  table,
  manager,
  ...policy
}: AgentServiceOptions): Part<'listEndpoints' | 'getEndpoint' | 'patchEndpointLabels' | 'patchEndpointConfig'> {
  return {
    listEndpoints: () => ({ endpoints: table.list().map((endpoint) => endpointMessage(endpoint, policy)) }),
    getEndpoint({ endpoint }) {
      const found = findEndpoint(table, endpoint?.reference);
      const { subject, labels } = found;
      const rules = subject === undefined ? [] : endpointRules({ subject, labels }, policy);
      return { endpoint: endpointMessage(found, policy), rules };
    },
    async patchEndpointLabels({ endpoint, set, remove }) {
      const { record } = findEndpoint(table, endpoint?.reference);
      // Only Kubernetes gives pods one.
      if (record.serviceAccount !== undefined) {
        const name = `${record.namespace}/${record.pod}`;
        throw new WeirError(
          'FAILED_PRECONDITION',
          `The labels of the pod "${name}" belong to Kubernetes; use "kubectl label"`,
        );
      }
      const changed = await manager.patchLabels(record.id, { set: Object.fromEntries(set.map(splitLabel)), remove });
      return { endpoint: endpointMessage(changed, policy) };
    },
    async patchEndpointConfig({ endpoint, audit, aggregation }) {
      const config = endpointConfig({ audit, aggregation });
      const found = findEndpoint(table, endpoint?.reference);
      const isAsked = Object.keys(config).length > 0;
      const changed = isAsked ? await manager.configure(found.record.id, config) : found;
      return { endpoint: endpointMessage(changed, policy) };
    },
  };
}

function namespaceCalls({
  namespaces,
  areNamespacesOwned,
}: AgentServiceOptions): Part<'patchNamespaceLabels' | 'listNamespaces'> {
  const message = (name: string, labels: NamespaceLabels): weir.agent.v1.INamespace => ({
    name,
    labels: Object.entries(labels).map(([key, value]) => `${key}=${value}`),
  });
  return {
    async patchNamespaceLabels({ namespace, set, remove }) {
      if (areNamespacesOwned === true) {
        const message = `The labels of the namespace "${namespace}" belong to Kubernetes; use "kubectl label"`;
        throw new WeirError('FAILED_PRECONDITION', message);
      }
      const labels = await namespaces.patch(namespace, { set: Object.fromEntries(set.map(splitLabel)), remove });
      return { namespace: message(namespace, labels) };
    },
    listNamespaces: () => ({ namespaces: namespaces.list().map(([name, labels]) => message(name, labels)) }),
  };
}

function identityCalls({ table, identities }: AgentServiceOptions): Part<'listIdentities' | 'getIdentity'> {
  const message = (id: number, labels: readonly string[]): weir.agent.v1.IIdentity => ({
    id,
    labels: [...labels],
    endpoints: table.list().flatMap((endpoint) => (endpoint.identity === id ? [endpoint.record.id] : [])),
  });
  const all = (): weir.agent.v1.IIdentity[] =>
    [...reservedIdentities, ...identities.all()].map(([id, set]) => message(id, set.labels.map(formatLabel)));
  return {
    listIdentities: () => ({ identities: all() }),
    getIdentity({ id }) {
      const identity = all().find((each) => each.id === id);
      if (identity === undefined) throw new WeirError('NOT_FOUND', `There is no identity ${id}`);
      return { identity };
    },
  };
}

function policyCalls({
  engine,
  policies,
  table,
  datapath,
  translation,
}: AgentServiceOptions): Part<'getPolicyFeatures' | 'importPolicy' | 'getPolicy' | 'deletePolicy'> {
  const filesOf = (files: readonly weir.agent.v1.IPolicyFile[]): PolicyFile[] =>
    files.map(({ name, content }) => ({ name: name ?? '', content: new TextDecoder().decode(content ?? undefined) }));
  const namesOf = ({ keys, problems }: PolicyOutcome): string[] => (problems.length > 0 ? [] : [...keys]);
  return {
    getPolicyFeatures: () => ({ features: [...defaultFeatures].sort(), version }),
    async importPolicy({ files, validateOnly }) {
      const outcome = await policies.import(filesOf(files), { validateOnly });
      return { revision: outcome.revision, problems: [...outcome.problems], imported: namesOf(outcome) };
    },
    getPolicy({ name }) {
      const found = engine
        .policies()
        .filter((policy) => name === '' || policy.name === name || policyName(policy.key) === name);
      if (name !== '' && found.length === 0) throw new WeirError('NOT_FOUND', `There is no policy "${name}"`);
      const traffic = trafficByPolicy(datapath.listRuleTraffic(), translation.cookies);
      return { revision: engine.revision, policies: found.map((policy) => policyMessage(policy, traffic)) };
    },
    async deletePolicy({ names, files, all }) {
      const outcome = await policies.delete({ names, files: filesOf(files), all });
      return { revision: outcome.revision, problems: [...outcome.problems], deleted: namesOf(outcome) };
    },
  };

  function policyMessage(policy: Policy, traffic: ReturnType<typeof trafficByPolicy>): weir.agent.v1.IPolicy {
    const { kind, namespace, name, source, document, key } = policy;
    const subjects = new Set(engine.subjectsOf(key));
    const endpoints = table.list().flatMap(({ subject, record }) => (subjects.has(subject ?? 0) ? [record.id] : []));
    const selectsNode = subjects.has(hostSubject);
    return {
      kind,
      namespace,
      name,
      file: source.file,
      document,
      endpoints,
      selectsNode,
      traffic: traffic.get(key) ?? [],
    };
  }
}

function datapathCalls(
  options: AgentServiceOptions,
): Part<
  | 'listPolicyEntries'
  | 'listConnections'
  | 'listMasqueradedFlows'
  | 'listTunnels'
  | 'listIpcache'
  | 'listDatapathEndpoints'
  | 'listDatapathMetrics'
> {
  const { table, datapath, identities, slots, translation } = options;
  return {
    listPolicyEntries({ endpoint }) {
      const chosen = endpoint === null ? table.list() : [findEndpoint(table, endpoint?.reference)];
      const subjects = new Set(chosen.flatMap(({ subject }) => subject ?? []));
      const { cookies } = translation;
      const traffic = new Map(datapath.listRuleTraffic().map((each) => [each.cookie, each]));
      const entries = [...subjects].flatMap((subject) =>
        datapath
          .listPolicy(slots.find(subject) ?? 0)
          .map((entry) =>
            policyEntryMessage(entry, { subject: identityOfSubject(subject), identities, cookies, traffic }),
          ),
      );
      return { entries };
    },
    async *listConnections() {
      for await (const connections of datapath.listConnections()) {
        yield { connections: connections.map(connectionMessage) };
      }
    },
    async *listMasqueradedFlows() {
      for await (const flows of datapath.masquerade.list()) yield { flows: flows.map(masqueradedFlowMessage) };
    },
    listTunnels: () => ({ tunnels: datapath.listNodes().map(tunnelMessage) }),
    async listIpcache() {
      const entries = await datapath.listIpcache();
      return { entries: entries.map((entry) => ipcacheMessage(entry, identities)) };
    },
    listDatapathEndpoints: () => ({
      endpoints: datapath.listEndpoints().map(({ ifindex, id, identity, ipv4, ipv6, mac }) => ({
        ...{ ifindex, endpointId: id, identity, ipv4: formatIpAddress(ipv4), ipv6: formatIpAddress(ipv6) },
        mac: [...mac].map((byte) => byte.toString(16).padStart(2, '0')).join(':'),
      })),
    }),
    listDatapathMetrics: () => ({ metrics: datapath.listTraffic().map(metricMessage) }),
  };
}
