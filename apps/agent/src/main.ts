// SPDX-License-Identifier: Apache-2.0
// agent: the composition root. Puts the parts of a node together, and takes them apart again.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { systemClock } from '@weir/clock';
import { openKernelDatapath, policySlotsMax } from '@weir/datapath-loader';
import { createIdentityClient } from '@weir/identity-client';
import { createIdentityLabelFilter } from '@weir/model';
import { createNetlink } from '@weir/netlink';
import { createPolicyEngine } from '@weir/policy';
import { createRpcServer } from '@weir/rpc';
import { type RunningService, runService } from '@weir/service';
import { createLogger, type Logger } from '@weir/telemetry';
import { createAgentService } from './api/agent-service.ts';
import { createCniHandler } from './cni/cni-handler.ts';
import { createCniServer } from './cni/cni-server.ts';
import { workOffDeletionNotes } from './cni/deletion-notes.ts';
import { createPodNetwork } from './cni/pod-network.ts';
import { createEndpointManager } from './endpoint/endpoint-manager.ts';
import { createEndpointPlacement } from './endpoint/endpoint-placement.ts';
import { createEndpointStore } from './endpoint/endpoint-store.ts';
import { createEndpointTable } from './endpoint/endpoint-table.ts';
import { restoreEndpoints } from './endpoint/restore-endpoints.ts';
import { createIdentityFeed, createIdentitySource } from './identity/identity-adapter.ts';
import { createAddressPool } from './ipam/address-pool.ts';
import { createDesiredIpcache } from './ipcache/desired-ipcache.ts';
import { keepHostAddresses } from './ipcache/host-ranges.ts';
import { createMonitor } from './monitor/monitor.ts';
import { createPeers } from './monitor/peers.ts';
import { createHostAddresses } from './node/host-addresses.ts';
import { ensureNodeNetwork } from './node/node-network.ts';
import { type AgentOptions, parseCommandLine, version } from './options.ts';
import { createPolicyController } from './policy/policy-controller.ts';
import { createPolicyService } from './policy/policy-service.ts';
import { createPolicySlots } from './policy/policy-slots.ts';
import { createPolicyStore } from './policy/policy-store.ts';
import { createPolicyTranslation } from './policy/policy-translation.ts';
import { prune } from './prune.ts';
import { createProxyControl } from './proxy/proxy-control.ts';
import { repeat } from './repeat.ts';
import { describeStatus } from './status.ts';

const sweepIntervalMs = 30_000;
const forgetIntervalMs = 60_000;

/** The compiled programs: beside a bundle, or where the build puts them when this runs from source. */
function objectPath({ bpfObject }: AgentOptions): string {
  if (bpfObject !== undefined) return bpfObject;
  const beside = fileURLToPath(new URL('bpf/weir.bpf.o', import.meta.url));
  return existsSync(beside) ? beside : fileURLToPath(new URL('../../../dist/bpf/weir.bpf.o', import.meta.url));
}

/** The kernel's side: what is there is taken over, and stays in force whatever happens above it. */
async function openNode(options: AgentOptions, logger: Logger) {
  const netlink = createNetlink();
  const datapath = await openKernelDatapath({
    bpfRoot: options.bpfRoot,
    objectPath: objectPath(options),
    limits: { ct: options.conntrackMax, policy: options.policyMax },
  });
  for (const { map, entries, wanted } of datapath.loaded.keptSizes) {
    logger.warn({ map, count: entries, limit: wanted }, 'map keeps its size until its pin is removed');
  }
  const pools = { ipv4: createAddressPool(options.ipv4Range), ipv6: createAddressPool(options.ipv6Range) };
  const network = await ensureNodeNetwork(netlink, {
    ipv4: { cidr: options.ipv4Range, router: pools.ipv4.router },
    ipv6: { cidr: options.ipv6Range, router: pools.ipv6.router },
    devices: options.devices,
    mtu: options.mtu,
  });
  return { netlink, datapath, pools, network };
}

type Node = Awaited<ReturnType<typeof openNode>>;

/** Identities, policies and endpoints, and what brings kernel and proxy in line with them. */
function wireParts(options: AgentOptions, { logger, node }: { readonly logger: Logger; readonly node: Node }) {
  const { netlink, datapath, pools, network } = node;
  const { nodeName, stateDir } = options;
  const clock = systemClock;
  const engine = createPolicyEngine({
    mode: options.enablePolicy,
    allowLocalHost: options.allowLocalhost === 'always',
  });
  const translation = createPolicyTranslation();
  const adoptedSlots = datapath.listEndpoints().map(({ identity, policySlot }) => [identity, policySlot] as const);
  const slots = createPolicySlots(policySlotsMax, new Map(adoptedSlots));
  const table = createEndpointTable();
  const ipcache = createDesiredIpcache();

  const feed = createIdentityFeed(({ upserted, deleted }) => {
    const deleteIdentities = deleted.filter((id) => slots.find(id) === undefined);
    controller.commit({ policy: { upsertIdentities: upserted, deleteIdentities } }).catch(() => undefined);
  });
  const client = createIdentityClient({
    ...{ address: options.identityAllocator, node: nodeName, log: logger, clock },
    cachePath: `${stateDir}/identities.json`,
    events: { ...feed, onMoved: (moved) => void manager.moveIdentity(moved) },
  });
  const identities = createIdentitySource(client);
  const { cookies, ruleSets, ruleSetTable } = translation;
  const peers = createPeers({ table, identities });
  const monitor = createMonitor({ datapath, peers, engine, cookies, ruleSets, node: nodeName });
  const proxy = createProxyControl({ ruleSets: ruleSetTable, onAccessLog: monitor.accessLog, clock, logger });
  const publishRuleSets = proxy.publish;
  const controller = createPolicyController({ engine, datapath, slots, translation, publishRuleSets, logger });

  const labelFilter = createIdentityLabelFilter(options.labels);
  const podNetwork = createPodNetwork(netlink);
  const store = createEndpointStore(`${stateDir}/endpoints`);
  const placement = createEndpointPlacement({ table, controller, slots, ipcache });
  const forEndpoints = { table, placement, datapath, identities, pools, podNetwork, store, labelFilter, logger };
  const manager = createEndpointManager({ ...forEndpoints, mtu: network.mtu, clock });
  const policyStore = createPolicyStore(`${stateDir}/policies.json`);
  const policies = createPolicyService({ engine, controller, store: policyStore });
  return {
    ...{ engine, translation, slots, table, ipcache, client, identities, monitor, proxy, controller },
    ...{ forEndpoints, manager, policyStore, policies, podNetwork },
  };
}

type Parts = ReturnType<typeof wireParts>;

/** The past: first all that is wanted, then away with the rest. */
async function restoreNode(parts: Parts, { options, logger, node }: Running): Promise<{ stop(): void }> {
  const { client, ipcache, controller, forEndpoints, policyStore, table, slots } = parts;
  const { datapath, netlink, network } = node;
  await client.start();
  const addresses = createHostAddresses(netlink);
  const podRanges = [options.ipv4Range, options.ipv6Range];
  const hostAddresses = await keepHostAddresses({ ipcache, controller, addresses, podRanges, logger });
  datapath.attachNode(network);
  const upsertPolicies = await policyStore.load();
  const upsertIdentities = [...client.identities()];
  const { complete } = await restoreEndpoints({ ...forEndpoints, netlink }, { upsertPolicies, upsertIdentities });
  const pruned = complete
    .then(() => prune({ datapath, controller, table, slots, ipcache, netlink }))
    .catch((error: unknown) => logger.error({ error }, 'what an agent before left behind could not be removed'));
  // Endpoints whose identity is not known may have to wait for long; the others do not wait with them.
  if (table.list().every(({ state }) => state === 'ready')) await pruned;
  return hostAddresses;
}

/** The outside: container runtimes, the command line, the proxy. */
async function serve(parts: Parts, { options, logger, node, startedMs }: Running): Promise<RunningService> {
  const { runDir } = options;
  const { datapath, pools, network } = node;
  const { manager, table, podNetwork, proxy } = parts;
  const status = { ...parts, options, startedMs, datapath, pools, uplinks: network.uplinks };
  const agentService = createAgentService({ ...parts, datapath, status: () => describeStatus(status) });
  const services = [agentService, proxy.service];
  const rpc = createRpcServer({ services, listen: [`unix:${runDir}/agent.sock`], log: logger });
  const handler = createCniHandler({ manager, table, podNetwork, pools });
  const cni = createCniServer({ socketPath: `${runDir}/cni.sock`, handler, logger });
  await rpc.start();
  await workOffDeletionNotes({ directory: `${runDir}/cni-deletions`, handler, logger });
  await cni.start();
  rpc.health.setAll('SERVING');
  return {
    async stop() {
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
}

async function startAgent(options: AgentOptions, logger: Logger): Promise<RunningService> {
  const startedMs = Date.now();
  const node = await openNode(options, logger);
  const running: Running = { options, logger, node, startedMs };
  const parts = wireParts(options, running);
  const hostAddresses = await restoreNode(parts, running);
  const server = await serve(parts, running);
  const { datapath, netlink } = node;
  const { controller, translation, monitor, client, table } = parts;
  const timers = [
    repeat(sweepIntervalMs, () => datapath.sweepConnections(), logger),
    repeat(forgetIntervalMs, () => controller.between(() => translation.retain(datapath)), logger),
  ];
  const state = datapath.loaded.adopted ? 'adopted' : 'loaded';
  const figures = { count: table.list().length, durationMs: Date.now() - startedMs };
  logger.info({ version, pid: process.pid, state, ...figures }, 'Node is ready');
  return {
    async stop() {
      for (const stopTimer of timers) stopTimer();
      await server.stop();
      hostAddresses.stop();
      monitor.close();
      await client.stop();
      await datapath.close();
      netlink.close();
    },
  };
}

await runService({
  commandLine: parseCommandLine(process.argv.slice(2)),
  logger: ({ logLevel, nodeName }) => createLogger({ service: 'agent', level: logLevel }).with({ node: nodeName }),
  start: startAgent,
});
