// SPDX-License-Identifier: Apache-2.0
import { release } from 'node:os';
import type { MapUse } from '@weir/datapath-maps';
import type { IdentityClient } from '@weir/identity-client';
import { formatCidr } from '@weir/model';
import type { PolicyEngine } from '@weir/policy';
import type { weir } from '@weir/proto';
import { describeHostPolicy } from './host/host-status.ts';
import type { DesiredIpcache } from './ipcache/desired-ipcache.ts';
import type { Cluster } from './cluster/cluster.ts';
import type { EndpointTable } from './endpoint/endpoint-table.ts';
import type { Kubernetes } from './kubernetes/kubernetes.ts';
import type { Masquerade } from './masquerade/masquerade.ts';
import type { AddressPool } from './ipam/address-pool.ts';
import { mapsUnderPressure } from './metrics/map-pressure.ts';
import { type AgentOptions, version } from './options.ts';
import type { PolicyController } from './policy/policy-controller.ts';
import { identityOfSubject } from './policy/policy-subjects.ts';
import type { ProxyControl } from './proxy/proxy-control.ts';
import type { ServiceController } from './service/service-controller.ts';
import type { SocketsState } from './service/socket-cgroup.ts';

export interface StatusOptions {
  readonly options: AgentOptions;
  readonly startedMs: number;
  readonly datapath: {
    readonly loaded: { readonly adopted: boolean; readonly build: string };
    mapUse(): readonly MapUse[];
  };
  readonly uplinks: readonly { readonly name: string }[];
  readonly client: IdentityClient;
  readonly cluster: Cluster;
  readonly controller: PolicyController;
  readonly proxy: ProxyControl;
  readonly engine: PolicyEngine;
  readonly table: EndpointTable;
  readonly services: ServiceController;
  readonly sockets: SocketsState;
  readonly ipcache: DesiredIpcache;
  readonly masquerade: Pick<Masquerade, 'state'>;
  readonly kubernetes: Pick<Kubernetes, 'status'> | undefined;
  readonly pools: { readonly ipv4: AddressPool; readonly ipv6: AddressPool };
}

type Component = weir.agent.v1.IComponentStatus;

const component = (name: string, state: 'Ok' | 'Warning' | 'Failure', message: string): Component => ({
  name,
  state,
  message,
});

function allocatorStatus(client: IdentityClient): Component {
  const { connection, identities, waiting } = client.status();
  const known = `${identities} identities known`;
  if (connection.kind !== 'connected') {
    return component('identity-allocator', 'Warning', `${connection.kind}; ${known}, new label sets wait`);
  }
  if (waiting.length > 0) {
    const [first] = waiting;
    return component('identity-allocator', 'Warning', `${waiting.length} label sets wait: ${first?.reason ?? ''}`);
  }
  return component('identity-allocator', 'Ok', `connected, ${known}`);
}

function policyStatus({ controller, engine }: StatusOptions): Component {
  const [first] = controller.behind;
  if (first === undefined) return component('policy', 'Ok', `revision ${engine.revision} is enforced`);
  const [subject, { reason }] = first;
  const count = controller.behind.size;
  return component(
    'policy',
    'Failure',
    `${count} identities are behind, the first is ${identityOfSubject(subject)}: ${reason}`,
  );
}

function hostStatus({ options, engine, ipcache }: StatusOptions): Component {
  const isAudited = options.policyAuditMode || options.nodeAuditMode;
  const allocator = options.identityAllocator;
  const { state, message } = describeHostPolicy({ engine, ipcache, allocator, isAudited });
  return component('host-policy', state, message);
}

function datapathStatus({ datapath, uplinks }: StatusOptions): Component {
  const { adopted, build } = datapath.loaded;
  const how = adopted ? 'adopted' : 'loaded';
  if (uplinks.length === 0) return component('datapath', 'Warning', `${how} build ${build}; there is no uplink`);
  return component('datapath', 'Ok', `${how} build ${build}, uplinks ${uplinks.map(({ name }) => name).join(', ')}`);
}

function clusterStatus({ cluster }: StatusOptions): Component {
  const { connection, isAnnounced, refusal } = cluster.client.status();
  const known = `${cluster.client.nodes.size} nodes known`;
  if (cluster.behind !== undefined) return component('cluster', 'Failure', `${known}, not in force: ${cluster.behind}`);
  if (connection.kind !== 'connected') return component('cluster', 'Warning', `${connection.kind}; ${known}`);
  if (isAnnounced) return component('cluster', 'Ok', known);
  return component('cluster', 'Warning', `${known}; this node is not announced: ${refusal ?? 'not yet'}`);
}

function mapsStatus(maps: readonly MapUse[]): Component {
  const text = ({ map, entries, entriesMax }: MapUse): string => `${map} ${entries} of ${entriesMax}`;
  const full = mapsUnderPressure(maps);
  if (full.length === 0) return component('maps', 'Ok', maps.map(text).join(', '));
  const which = full.map(text).join(', ');
  const policies = 'a policy that has no room stays as it was';
  const flows = 'of flows, the one that was idle for longest is forgotten';
  return component(
    'maps',
    'Warning',
    `nearly full: ${which}; ${full.some(({ map }) => map !== 'ct') ? policies : flows}`,
  );
}

function proxyStatus({ proxy }: StatusOptions): Component {
  const { connected } = proxy;
  if (connected === undefined) return component('l7-proxy', 'Warning', 'not connected; what needs it is dropped');
  return component('l7-proxy', 'Ok', `connected, pid ${connected.pid}`);
}

function endpointsStatus({ table }: StatusOptions): Component {
  const endpoints = table.list();
  const [unreadable] = table.reserved();
  if (unreadable !== undefined) {
    const which = `${table.reserved().size} cannot be read, first that of endpoint ${unreadable}`;
    return component('endpoints', 'Failure', `of the endpoint files ${which}, which stays under its old policy`);
  }
  const waiting = endpoints.filter(({ state, reason }) => state !== 'ready' || reason !== undefined);
  const [first] = waiting;
  if (first === undefined) return component('endpoints', 'Ok', `${endpoints.length} ready`);
  const { record, state, reason = '' } = first;
  const which = `${record.id} (${record.namespace}/${record.pod}) is ${state}${reason && `: ${reason}`}`;
  const severity = waiting.some((each) => each.state === 'invalid') ? 'Failure' : 'Warning';
  return component('endpoints', severity, `${waiting.length} of ${endpoints.length} need attention, first ${which}`);
}

function servicesStatus({ services, sockets }: StatusOptions): Component {
  const count = services.list().length;
  if (services.behind !== undefined) return component('services', 'Failure', `behind: ${services.behind.message}`);
  if ('reason' in sockets) return component('services', 'Warning', `${count}; not at sockets: ${sockets.reason}`);
  return component('services', 'Ok', `${count}, at the sockets of ${sockets.cgroup}`);
}

function kubernetesStatus({ kubernetes }: StatusOptions): Component[] {
  if (kubernetes === undefined) return [];
  const { server, unknown, refused, failure } = kubernetes.status();
  const say = (state: 'Ok' | 'Warning' | 'Failure', message: string): Component[] => [
    component('kubernetes', state, message),
  ];
  if (failure !== undefined) return say('Failure', `what it has is not in force: ${failure.message}`);
  const [first] = unknown;
  if (first !== undefined) {
    const effect = unknown.every(({ isSynced }) => isSynced) ? 'what is known stays in force' : 'new pods wait';
    return say('Warning', `${effect}; ${unknown.map(({ kind }) => kind).join(', ')}: ${first.reason}`);
  }
  const [wrong] = refused;
  if (wrong === undefined) return say('Ok', `follows ${server}`);
  return say('Warning', `${refused.length} objects are not in force as written, first ${wrong.key}: ${wrong.reason}`);
}

function masqueradeStatus({ masquerade }: StatusOptions): Component {
  const { ports, addresses, counts, warning } = masquerade.state();
  if (ports === undefined) return component('masquerade', 'Ok', 'off; pods keep their addresses');
  if (warning !== undefined) return component('masquerade', 'Warning', warning);
  const where = `as ${addresses.join(', ')}, ports ${ports.first}-${ports.last}`;
  return component(
    'masquerade',
    'Ok',
    `${where}; ${counts.mapped} flows so far, ${counts.exhausted} packets found no port`,
  );
}

function masqueradeMessage({ masquerade }: StatusOptions): Pick<weir.agent.v1.IGetStatusResponse, 'masquerade'> {
  const { ports, addresses, counts } = masquerade.state();
  if (ports === undefined) return {};
  return { masquerade: { firstPort: ports.first, lastPort: ports.last, addresses: [...addresses], ...counts } };
}

/** Everything that `weir status` shows. */
export function describeStatus(parts: StatusOptions): weir.agent.v1.IGetStatusResponse {
  const { options, startedMs, client, engine, table, pools } = parts;
  const endpoints = table.list();
  const maps = parts.datapath.mapUse();
  return {
    node: options.nodeName,
    version,
    startedMs,
    pid: process.pid,
    kernel: release(),
    components: [
      ...[datapathStatus(parts), policyStatus(parts), hostStatus(parts), endpointsStatus(parts)],
      ...[allocatorStatus(client), clusterStatus(parts), proxyStatus(parts), servicesStatus(parts)],
      ...[...kubernetesStatus(parts), masqueradeStatus(parts), mapsStatus(maps)],
    ],
    maps: [...maps],
    endpointsReady: endpoints.filter(({ state }) => state === 'ready').length,
    endpointsTotal: endpoints.length,
    identities: client.status().identities,
    policies: engine.policies().length,
    policyRevision: engine.revision,
    ipv4Range: formatCidr(options.ipv4Range),
    ipv6Range: formatCidr(options.ipv6Range),
    ipv4Allocated: pools.ipv4.allocatedCount,
    ipv6Allocated: pools.ipv6.allocatedCount,
    policyEnforcement: options.enablePolicy,
    nodes: parts.cluster.client.nodes.size,
    policyAuditMode: options.policyAuditMode,
    ...masqueradeMessage(parts),
  };
}
