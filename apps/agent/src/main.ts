// SPDX-License-Identifier: Apache-2.0
// agent: the composition root. Puts the parts of a node together, and takes them apart again.
import { availableParallelism } from 'node:os';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { systemClock } from '@weir/clock';
import { openKernelDatapath, policySlotsMax } from '@weir/datapath-loader';
import { createIdentityClient } from '@weir/identity-client';
import { createIdentityLabelFilter, defaultClusterName, formatIpAddress } from '@weir/model';
import type { KubernetesApi } from '@weir/kubernetes';
import { createNetlink } from '@weir/netlink';
import { createPolicyEngine, type PolicyEngine } from '@weir/policy';
import { flow } from '@weir/proto';
import { createRpcServer, openTlsIdentity } from '@weir/rpc';
import { type RunningService, runService } from '@weir/service';
import { createLogger, type Logger } from '@weir/telemetry';
import { createAgentService } from './api/agent-service.ts';
import { createServiceService } from './api/service-service.ts';
import { createCniHandler } from './cni/cni-handler.ts';
import { type CniInstall, createCniInstall } from './cni/cni-install.ts';
import { type CniHandler, createCniServer } from './cni/cni-server.ts';
import { workOffDeletionNotes } from './cni/deletion-notes.ts';
import { createPodNetwork } from './cni/pod-network.ts';
import { createEndpointManager } from './endpoint/endpoint-manager.ts';
import { createEndpointPlacement } from './endpoint/endpoint-placement.ts';
import { createEndpointStore } from './endpoint/endpoint-store.ts';
import { createEndpointTable } from './endpoint/endpoint-table.ts';
import { createNamespaceLabelTable } from './endpoint/namespace-labels.ts';
import { createNamespaces } from './endpoint/namespaces.ts';
import { restoreEndpoints } from './endpoint/restore-endpoints.ts';
import { type Cluster, createCluster } from './cluster/cluster.ts';
import { createNodeRoutes } from './cluster/node-routes.ts';
import { createNodeSlots, describeHost, includeHost, labelsOfHost } from './host/host-policy.ts';
import { warnOfHostPolicy } from './host/host-status.ts';
import { startMetrics } from './metrics/start-metrics.ts';
import { createIdentityFeed, createIdentitySource } from './identity/identity-adapter.ts';
import { createIdentityPorts } from './identity/identity-ports.ts';
import { createNodeIdentities, type NodeIdentities } from './identity/node-identities.ts';
import { createPrefixIdentities, labelledPrefixes, type PrefixIdentities } from './identity/prefix-identities.ts';
import { withPodRanges } from './ipam/with-pod-ranges.ts';
import { connectKubernetes } from './kubernetes/connect-kubernetes.ts';
import { type Kubernetes, startKubernetes } from './kubernetes/kubernetes.ts';
import { createMasquerade, type MasqueradeOptions } from './masquerade/masquerade.ts';
import { createAddressPool } from './ipam/address-pool.ts';
import { createDesiredIpcache, type DesiredIpcache } from './ipcache/desired-ipcache.ts';
import { keepHostAddresses } from './ipcache/host-ranges.ts';
import { createHostAddresses } from './node/host-addresses.ts';
import { lockNode } from './node/node-lock.ts';
import { ensureNodeNetwork, hostDevice } from './node/node-network.ts';
import { ensureOverlayDevice, openOverlayDevice, removeOverlayDevice } from './node/overlay-device.ts';
import { checkPrerequisites, readMachine } from './node/prerequisites.ts';
import { eventRingBytes } from './observe/event-ring-bytes.ts';
import { numberFeed, remotePodChanges, serviceChange, watchEndpoints, watchEngine } from './observe/names-feed.ts';
import { namesSnapshot } from './observe/names-snapshot.ts';
import { createObserverHost, type ObserverHost } from './observe/observer-host.ts';
import { createPeerTeller } from './observe/peer-nodes.ts';
import type { ObserverThreadOptions } from './observe/thread-messages.ts';
import { type AgentOptions, parseCommandLine, version } from './options.ts';
import { createPolicyController, type PolicyController } from './policy/policy-controller.ts';
import { createPolicyPrefixes } from './policy/policy-prefixes.ts';
import { createPolicyService } from './policy/policy-service.ts';
import { createPolicyNodes } from './policy/policy-nodes.ts';
import { createPolicySubjects } from './policy/policy-subjects.ts';
import { createPolicyStore } from './policy/policy-store.ts';
import { createServicePeers } from './policy/service-peers.ts';
import { createServiceReferences } from './policy/service-references.ts';
import { createPolicyTranslation } from './policy/policy-translation.ts';
import { prune } from './prune.ts';
import { createProxyControl } from './proxy/proxy-control.ts';
import { watchLoopDelay } from './loop-delay.ts';
import { repeat } from './repeat.ts';
import { createNodeServices, type NodeServicesOptions } from './service/node-services.ts';
import { attachToSockets, type SocketsState } from './service/socket-cgroup.ts';
import { describeStatus } from './status.ts';

const sweepIntervalMs = 30_000;
const forgetIntervalMs = 60_000;

/** The compiled programs: beside a bundle, or where the build puts them when this runs from source. */
function objectPath({ bpfObject }: AgentOptions): string {
  if (bpfObject !== undefined) return bpfObject;
  const beside = fileURLToPath(new URL('bpf/weir.bpf.o', import.meta.url));
  return existsSync(beside) ? beside : fileURLToPath(new URL('../../../dist/bpf/weir.bpf.o', import.meta.url));
}

/** The plugin, in the same places. */
function pluginPath(): string {
  const beside = fileURLToPath(new URL('weir-cni', import.meta.url));
  return existsSync(beside) ? beside : fileURLToPath(new URL('../../../dist/weir-cni', import.meta.url));
}

/** Who makes the container runtime use this agent; undefined: somebody else does. */
const cniInstallOf = ({ cniInstall, runDir }: AgentOptions, logger: Logger): CniInstall | undefined =>
  cniInstall && createCniInstall(cniInstall, { source: pluginPath(), socket: `${runDir}/cni.sock`, logger });

const masqueradeConfig = ({ masquerade, masqueradePorts: { first, last } }: AgentOptions) =>
  masquerade === 'on' ? { masqueradeFirstPort: first, masqueradePorts: last - first + 1 } : {};

/** The kernel's side: what is there is taken over, and stays in force whatever happens above it. */
async function openNode(options: AgentOptions, logger: Logger) {
  const netlink = createNetlink();
  const overlay = options.routing === 'overlay' ? await ensureOverlayDevice(netlink) : undefined;
  const datapath = await openKernelDatapath({
    bpfRoot: options.bpfRoot,
    config: {
      ...{ overlayIfindex: overlay?.ifindex ?? 0, eventsPerInterval: options.flowEventsMax },
      ...masqueradeConfig(options),
    },
    objectPath: objectPath(options),
    limits: {
      ct: options.conntrackMax,
      policy: options.policyMax,
      nat: options.masqueradeMax,
      events: eventRingBytes({ cpuCount: availableParallelism(), eventsMax: options.flowEventsMax }),
    },
  });
  for (const { map, entries, wanted } of datapath.loaded.keptSizes) {
    logger.warn({ map, count: entries, limit: wanted }, 'Map keeps its size until its pin is removed');
  }
  const pools = { ipv4: createAddressPool(options.ipv4Range), ipv6: createAddressPool(options.ipv6Range) };
  const network = await ensureNodeNetwork(netlink, {
    ipv4: { cidr: options.ipv4Range, router: pools.ipv4.router },
    ipv6: { cidr: options.ipv6Range, router: pools.ipv6.router },
    devices: options.devices,
    mtu: options.mtu,
    isOverlay: overlay !== undefined,
  });
  return { netlink, datapath, pools, network, overlay };
}

type Node = Awaited<ReturnType<typeof openNode>>;

/** Flows are encrypted when there are certificates, unless somebody asks for clear text by name. */
const observerTls = ({ tls, observerPlaintext }: AgentOptions) => (observerPlaintext === 'anywhere' ? undefined : tls);

const observerThreadOptions = (options: AgentOptions): ObserverThreadOptions => ({
  ...{ node: options.nodeName, nodeLabels: options.nodeLabels, version },
  ...{ bpfRoot: options.bpfRoot, logLevel: options.logLevel },
  listen: [`unix:${options.runDir}/hubble.sock`, ...options.observerListen],
  ...{ plaintext: options.observerPlaintext, flowsMax: options.observerFlows, tls: observerTls(options) },
  flowMetrics: { groups: options.flowMetrics, contexts: options.flowMetricsContext },
  flowLog: options.flowLog,
});

/** What becomes of the labels of pods: those of their namespaces join them, and some count for nothing. */
const labelParts = ({ labels, stateDir }: AgentOptions) => ({
  labelFilter: createIdentityLabelFilter(labels),
  namespaces: createNamespaceLabelTable(`${stateDir}/namespaces.json`),
});

/** The kubelet must be able to ask pods whether they are well. */
const isAutoAndKubernetes = ({ allowLocalhost, kubernetes }: AgentOptions): boolean =>
  allowLocalhost === 'auto' && kubernetes !== undefined;

const createEngine = (options: AgentOptions): PolicyEngine =>
  createPolicyEngine({
    mode: options.enablePolicy,
    allowLocalHost: options.allowLocalhost === 'always' || isAutoAndKubernetes(options),
    defaultAllow: true,
    clusterPeer: { clusterName: defaultClusterName },
  });

/** The ways to the pods of other nodes. `own` are the addresses of this one that others reach. */
function routesOf(
  { netlink, pools, overlay }: Node,
  { own, logger }: { readonly own: () => readonly string[]; readonly logger: Logger },
) {
  const routers = [pools.ipv4.router, pools.ipv6.router].map(formatIpAddress);
  return createNodeRoutes({ netlink, overlay: overlay && { hostDevice: hostDevice.name, routers, own }, logger });
}

const peerTellerOf = (
  options: AgentOptions,
  deps: Pick<Parameters<typeof createPeerTeller>[0], 'nodes' | 'tell'>,
): ReturnType<typeof createPeerTeller> =>
  createPeerTeller({ self: options.nodeName, isEncrypted: observerTls(options) !== undefined, ...deps });

/** The services of the node, and what policies make of those that they name. */
function serviceParts(
  deps: Omit<NodeServicesOptions, 'onChanged'> & {
    readonly identities: PrefixIdentities;
    readonly ipcache: DesiredIpcache;
    readonly controller: PolicyController;
  },
) {
  const references = createServiceReferences(() => services.list());
  const prefixes = createPolicyPrefixes({ ...deps, services: references });
  const servicePeers = createServicePeers({ ...deps, references, prefixes, service: (key) => services.get(key) });
  const services = createNodeServices({ ...deps, onChanged: servicePeers.follow });
  return { prefixes, servicePeers, services };
}

function masqueradeOf(
  { datapath }: Node,
  { options, ...parts }: { readonly options: AgentOptions } & Pick<MasqueradeOptions, 'addresses' | 'logger'>,
) {
  return createMasquerade({
    ...{ ...parts, datapath: datapath.masquerade, excluded: options.masqueradeExclude },
    ports: options.masquerade === 'on' ? options.masqueradePorts : undefined,
  });
}

/** This node as policies look at it. */
const hostOf = ({ nodeName, nodeLabels }: AgentOptions) => describeHost({ nodeName, labels: nodeLabels });

/** Policies, the services of the node, and what policies name that must be known before them. */
function wirePolicies(
  { identityAllocator: allocator }: AgentOptions,
  deps: Parameters<typeof serviceParts>[0] & {
    readonly engine: PolicyEngine;
    readonly cluster: Cluster;
    readonly nodeIdentities: NodeIdentities;
    readonly observer: Pick<ObserverHost, 'names'>;
  },
) {
  const { engine, cluster, nodeIdentities, ipcache, stateDir, observer, logger } = deps;
  const { prefixes: named, servicePeers, services } = serviceParts(deps);
  const prefixes = createPolicyNodes({
    ...{ ...deps, prefixes: named, identities: nodeIdentities },
    others: () => cluster.others,
    onRenewed: () => cluster.renewNodes(),
  });
  const policyStore = createPolicyStore(`${stateDir}/policies.json`);
  const onReplaced = warnOfHostPolicy({ engine, ipcache, allocator }, logger);
  const policies = createPolicyService({ ...deps, store: policyStore, prefixes, onReplaced });
  services.watch((event) => observer.names([serviceChange(event)]));
  return { policyStore, prefixes, policies, servicePeers, services };
}

/** Identities, policies and endpoints, and what brings kernel and proxy in line with them. */
function wireParts(options: AgentOptions, { logger, node }: { readonly logger: Logger; readonly node: Node }) {
  const { netlink, datapath, pools, network } = node;
  const [{ nodeName, stateDir }, clock] = [options, systemClock];
  const observer = createObserverHost({
    thread: observerThreadOptions(options),
    snapshot: () => namesSnapshot({ table, identities, cluster, engine, translation, services: forPolicies.services }),
    ...{ clock, logger },
  });
  const engine = watchEngine(createEngine(options), observer);
  const translation = createPolicyTranslation(numberFeed(observer));
  const slots = createNodeSlots(policySlotsMax, datapath);
  const subjects = createPolicySubjects(() => table.subjectsInUse());
  const table = watchEndpoints(createEndpointTable(), observer);
  const ipcache = createDesiredIpcache();

  const feed = createIdentityFeed(({ upserted, deleted }) => {
    const policy = { upsertIdentities: upserted.map(ports.describe), deleteIdentities: deleted };
    controller.commit({ policy }).catch((error: unknown) => {
      logger.error({ error, count: upserted.length + deleted.length }, 'Change of identities is not in force');
    });
  });
  const tls = options.tls && { tls: openTlsIdentity(options.tls, logger) };
  const client = createIdentityClient({
    ...{ address: options.identityAllocator, node: nodeName, log: logger, clock, ...tls },
    cachePath: `${stateDir}/identities.json`,
    events: { ...feed, onMoved: (moved) => void manager.moveIdentity(moved) },
  });
  const [prefixIdentities, nodeIdentities] = [createPrefixIdentities(), createNodeIdentities()];
  const identities = createIdentitySource(client, prefixIdentities, nodeIdentities);
  const ports = createIdentityPorts(identities.labelsOf);
  const forProxy = { ruleSets: translation.ruleSetTable, onAccessLog: observer.accessLog };
  const proxy = createProxyControl({ ...forProxy, clock, logger });
  const policyParts = { engine, datapath, slots, translation, publishRuleSets: proxy.publish };
  const controller = createPolicyController({ ...policyParts, clock, logger });

  const forLabels = { ...labelParts(options), clock, logger };
  const podNetwork = createPodNetwork(netlink);
  const store = createEndpointStore(`${stateDir}/endpoints`);
  const { policyAuditMode: auditAll, flowAggregation: aggregation } = options;
  const forPlacement = { onPlaced: (): void => cluster.announce(), auditAll, aggregation };
  const placement = createEndpointPlacement({ table, controller, slots, subjects, ports, ipcache, ...forPlacement });
  const forEndpoints = { table, placement, datapath, identities, pools, podNetwork, store, ...forLabels };
  const manager = createEndpointManager({ ...forEndpoints, mtu: network.mtu });
  const namespaces = createNamespaces({ labels: forLabels.namespaces, manager });
  const podRanges = [options.ipv4Range, options.ipv6Range];
  const addresses = createHostAddresses(netlink, network);
  const routers = [pools.ipv4.router, pools.ipv6.router];
  const tellPeers = peerTellerOf(options, { nodes: () => cluster.client.nodes, tell: observer.setPeers });
  const routes = routesOf(node, { own: () => cluster.ownAddresses, logger });
  const cluster = createCluster({
    ...{ nodeName, stateDir, podRanges, table, ipcache, ports, controller, addresses, routes, clock, logger },
    ...{ allocator: options.identityAllocator, ...tls, routers, isOverlay: node.overlay !== undefined },
    ...{ labels: labelsOfHost(hostOf(options)), nodeIdentities, onNodesWritten: () => void prefixes.pruneNodes() },
    onChange(changes) {
      observer.names(remotePodChanges(changes));
      tellPeers.nodesChanged();
    },
  });
  const forPolicies = wirePolicies(options, {
    ...{ engine, controller, ipcache, cluster, nodeIdentities, observer, identities: prefixIdentities },
    ...{ datapath: datapath.services, stateDir, table, clock, logger, maglevTableSize: options.maglevTableSize },
    nodeLabels: options.nodeLabels,
  });
  const { prefixes } = forPolicies;
  return {
    ...{ engine, translation, slots, table, ipcache, client, identities, observer, proxy, controller },
    ...{ forEndpoints, manager, podNetwork, podRanges, addresses, routes, cluster, ...forPolicies },
    ...{ prefixIdentities, nodeIdentities, subjects, ports, monitor: observer, namespaces, tellPeers },
    ...{ namespaceLabels: forLabels.namespaces, masquerade: masqueradeOf(node, { options, addresses, logger }) },
  };
}

type Parts = ReturnType<typeof wireParts>;

/** The past: first all that is wanted, then away with the rest. */
async function restoreNode(
  parts: Parts,
  { options, logger, node }: Running,
): Promise<{ hostAddresses: { stop(): void }; sockets: SocketsState }> {
  const {
    client,
    cluster,
    ipcache,
    controller,
    forEndpoints,
    manager,
    podNetwork,
    policyStore,
    table,
    slots,
    subjects,
    ports,
  } = parts;
  const { datapath, netlink, network, overlay } = node;
  await parts.services.restore();
  await parts.namespaceLabels.load();
  await client.start();
  const { addresses, podRanges } = parts;
  const forHost = { ipcache, controller, addresses, podRanges, clock: systemClock, logger };
  const hostAddresses = await keepHostAddresses(forHost);
  const { prefixes, prefixIdentities, nodeIdentities } = parts;
  const inKernel = await datapath.listIpcache();
  const toRange = ({ address, length }: (typeof inKernel)[number]) => ({ address, prefixLength: length });
  const rows = inKernel.map((entry) => ({ range: toRange(entry), identity: entry.identity }));
  const adopted = prefixIdentities.adopt(rows);
  nodeIdentities.adopt(rows);
  const upsertPolicies = await policyStore.load();
  await cluster.load();
  const upsertIdentities = [...[...client.identities()].map(ports.describe), ...labelledPrefixes(adopted)];
  const forRestore = { ...forEndpoints, controller, manager, slots, subjects, ports };
  const host = hostOf(options);
  const isAudited = options.policyAuditMode || options.nodeAuditMode;
  const known = includeHost(prefixes.include({ upsertPolicies, upsertIdentities }), { host, slots, isAudited });
  const { complete } = await restoreEndpoints(forRestore, known);
  await cluster.start();
  await parts.masquerade.start();
  // New programs of the node come after what they look up, which may be in new maps.
  datapath.attachNode({ ...network, overlayIfindex: overlay?.ifindex });
  if (overlay === undefined) await removeOverlayDevice(netlink);
  else await openOverlayDevice(netlink, network);
  const sockets = attachToSockets(datapath.services, options.cgroup);
  const pruned = complete
    .then(() => prefixes.prune())
    .then(() => prune({ datapath, controller, table, slots, ipcache, podNetwork }))
    .catch((error: unknown) => logger.error({ error }, 'What an agent before left behind could not be removed'));
  // Endpoints whose identity is not known may have to wait for long; the others do not wait with them.
  if (table.list().every(({ state }) => state === 'ready')) await pruned;
  return { hostAddresses, sockets };
}

/** Kubernetes is followed once all that was before is in force again; nobody waits for it but new pods. */
function followKubernetes(parts: Parts, { options, logger, api }: Running): Kubernetes | undefined {
  if (api === undefined) return undefined;
  return startKubernetes({ ...parts, api, node: options.nodeName, clock: systemClock, logger });
}

/** The outside: container runtimes, the command line, the proxy. */
async function serve(parts: Parts, running: Running & { readonly sockets: SocketsState }): Promise<RunningService> {
  const { options, logger, node, startedMs, sockets } = running;
  const { runDir } = options;
  const { datapath, pools, network } = node;
  const { manager, table, podNetwork, proxy, services, cluster } = parts;
  const kubernetes = followKubernetes(parts, running);
  const status = { ...parts, options, startedMs, datapath, pools, uplinks: network.uplinks, sockets, kubernetes };
  const agentService = createAgentService({
    ...parts,
    nodeName: options.nodeName,
    datapath,
    status: () => describeStatus(status),
    areNamespacesOwned: kubernetes !== undefined,
  });
  const serviceService = createServiceService({ services, datapath: datapath.services });
  const served = [agentService, serviceService, proxy.service];
  const rpc = createRpcServer({ services: served, listen: [`unix:${runDir}/agent.sock`], log: logger });
  const handler = createCniHandler({ manager, table, podNetwork, pools, spread: cluster.spread, kubernetes });
  // The plugin stops to leave notes when it can connect; its calls wait until the last note is worked off.
  const notes = Promise.withResolvers<undefined>();
  const afterNotes: CniHandler = (request) => notes.promise.then(() => handler(request));
  const cni = createCniServer({ socketPath: `${runDir}/cni.sock`, handler: afterNotes, logger });
  const metrics = await startMetrics(parts, { options, logger, datapath, status: () => describeStatus(status) });
  await rpc.start();
  await cni.start();
  await workOffDeletionNotes({ directory: `${runDir}/cni-deletions`, handler, logger });
  notes.resolve(undefined);
  const install = cniInstallOf(options, logger);
  await install?.writePlugin();
  await install?.writeConfiguration();
  rpc.health.setAll('SERVING');
  return {
    async stop() {
      await install?.stop();
      manager.close();
      await kubernetes?.stop();
      await metrics?.close();
      await cni.stop();
      await rpc.stop();
    },
  };
}

interface Running {
  readonly options: AgentOptions;
  readonly logger: Logger;
  readonly node: Node;
  readonly startedMs: number;
  readonly api: KubernetesApi | undefined;
}

/** Flows are served first. */
async function startObserver({ observer, tellPeers }: Parts, { startedMs }: Running): Promise<void> {
  tellPeers.boundTo(await observer.start());
  const time = { seconds: Math.floor(startedMs / 1_000), nanos: (startedMs % 1_000) * 1e6 };
  observer.event({ type: flow.AgentEventType.AGENT_STARTED, agentStart: { time } });
}

async function startAgent(given: AgentOptions, logger: Logger): Promise<RunningService> {
  const startedMs = Date.now();
  checkPrerequisites(readMachine());
  const lock = await lockNode(given.runDir);
  const connection = await connectKubernetes(given, logger);
  const options = await withPodRanges(connection?.options ?? given, logger);
  const node = await openNode(options, logger);
  const running: Running = { options, logger, node, startedMs, api: connection?.api };
  const parts = wireParts(options, running);
  // Before anything happens that somebody might want to see.
  await startObserver(parts, running);
  const { hostAddresses, sockets } = await restoreNode(parts, running);
  const server = await serve(parts, { ...running, sockets });
  const { datapath, netlink } = node;
  const { controller, translation, observer, client, cluster, table, services } = parts;
  const { servicePeers, masquerade } = parts;
  const stops = [
    repeat(sweepIntervalMs, () => datapath.sweepConnections(), logger),
    repeat(sweepIntervalMs, masquerade.sweep, logger),
    repeat(forgetIntervalMs, () => controller.between(() => translation.retain(datapath)), logger),
    watchLoopDelay(logger),
    hostAddresses.stop,
    masquerade.stop,
  ];
  const state = datapath.loaded.adopted ? 'adopted' : 'loaded';
  const figures = { count: table.list().length, durationMs: Date.now() - startedMs };
  logger.info({ version, pid: process.pid, state, ...figures }, 'Node is ready');
  return {
    async stop() {
      for (const stop of stops) stop();
      await server.stop();
      await observer.stop();
      await cluster.stop();
      await client.stop();
      servicePeers.close();
      await services.close();
      await datapath.close();
      netlink.close();
      await lock.release();
    },
  };
}

await runService({
  commandLine: parseCommandLine(process.argv.slice(2)),
  logger: ({ logLevel, nodeName }) => createLogger({ service: 'agent', level: logLevel }).with({ node: nodeName }),
  start: startAgent,
});
