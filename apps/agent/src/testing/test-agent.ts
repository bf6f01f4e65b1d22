// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createManualClock, type ManualClock } from '@weir/clock';
import { createFaults, createMemoryDatapath, type Faults, type MemoryDatapath } from '@weir/datapath-testing';
import { createIdentityLabelFilter, parseCidr, type Service } from '@weir/model';
import { createPolicyEngine, parsePolicyFiles, type Policy, type PolicyEngine } from '@weir/policy';
import { createLogger } from '@weir/telemetry';
import type { CniRequest } from '../cni/cni-request.ts';
import { createEndpointManager, type EndpointManager, type EndpointSpec } from '../endpoint/endpoint-manager.ts';
import { createEndpointPlacement, type EndpointPlacement } from '../endpoint/endpoint-placement.ts';
import { createEndpointStore, type EndpointStore } from '../endpoint/endpoint-store.ts';
import { createEndpointTable, type EndpointTable } from '../endpoint/endpoint-table.ts';
import { createNamespaceLabelTable, type NamespaceLabelTable } from '../endpoint/namespace-labels.ts';
import { createNamespaces, type Namespaces } from '../endpoint/namespaces.ts';
import { restoreEndpoints, type Restored } from '../endpoint/restore-endpoints.ts';
import { createNodeSlots } from '../host/host-policy.ts';
import { createIdentityPorts } from '../identity/identity-ports.ts';
import { createPrefixIdentities, type PrefixIdentities } from '../identity/prefix-identities.ts';
import { type AddressPool, createAddressPool } from '../ipam/address-pool.ts';
import { createDesiredIpcache, type DesiredIpcache } from '../ipcache/desired-ipcache.ts';
import { createPolicyController, type PolicyController } from '../policy/policy-controller.ts';
import { createPolicyPrefixes, type PolicyPrefixes } from '../policy/policy-prefixes.ts';
import type { PolicySlots } from '../policy/policy-slots.ts';
import { createPolicySubjects } from '../policy/policy-subjects.ts';
import { createServicePeers, type ServicePeers } from '../policy/service-peers.ts';
import { createServiceReferences } from '../policy/service-references.ts';
import { createPolicyTranslation, type PolicyTranslation } from '../policy/policy-translation.ts';
import { prune } from '../prune.ts';
import { createFakeIdentities, type FakeIdentities } from './fake-identities.ts';
import { createFakePodNetwork, type FakePodNetwork } from './fake-pod-network.ts';

/** What outlives an agent: the kernel, the disk, the allocator. */
export interface TestNode {
  readonly datapath: MemoryDatapath;
  readonly podNetwork: FakePodNetwork;
  readonly identities: FakeIdentities;
  readonly services: Map<string, Service>;
  readonly directory: string;
  readonly clock: ManualClock;
  readonly faults: Faults;
  remove(): void;
}

/** The parts of an agent that endpoints and policies are made of, on a node in memory, with a real engine and real files. */
export interface TestAgent {
  readonly engine: PolicyEngine;
  readonly table: EndpointTable;
  readonly pools: { readonly ipv4: AddressPool; readonly ipv6: AddressPool };
  readonly slots: PolicySlots;
  readonly ipcache: DesiredIpcache;
  readonly translation: PolicyTranslation;
  readonly controller: PolicyController;
  readonly placement: EndpointPlacement;
  readonly prefixes: PolicyPrefixes;
  readonly prefixIdentities: PrefixIdentities;
  readonly servicePeers: ServicePeers;
  readonly store: EndpointStore;
  readonly manager: EndpointManager;
  readonly namespaceLabels: NamespaceLabelTable;
  readonly namespaces: Namespaces;
  /** Times that the proxy was told of rule sets. */
  readonly published: number[];
  restore(policies?: readonly Policy[]): Promise<Restored>;
  prune(): Promise<void>;
}

export const silent = createLogger({ service: 'test', level: 'silent' });

export function createTestNode(): TestNode {
  const directory = mkdtempSync(join(tmpdir(), 'weir-agent-'));
  return {
    datapath: createMemoryDatapath(),
    podNetwork: createFakePodNetwork(),
    identities: createFakeIdentities(),
    services: new Map(),
    clock: createManualClock(),
    faults: createFaults(),
    directory,
    // What an endpoint is still writing down when its test ends may make one more file.
    remove: () => rmSync(directory, { recursive: true, maxRetries: 20, retryDelay: 50 }),
  };
}

/** Starts an agent on a node; a second one is a restart. */
export function createTestAgent(node: TestNode): TestAgent {
  const { faults, clock } = node;
  const datapath = faults.wrap(node.datapath, { rejecting: ['apply'], throwing: ['attachEndpoint', 'detachEndpoint'] });
  const podNetwork = faults.wrap(node.podNetwork, { rejecting: ['create', 'open', 'remove'] });
  const identities = faults.wrap(node.identities, { rejecting: ['take'] });
  const store = faults.wrap(createEndpointStore(join(node.directory, 'endpoints')), { rejecting: ['save', 'remove'] });
  const pool = (cidr: string): AddressPool =>
    faults.wrap(createAddressPool(parseCidr(cidr)), { throwing: ['allocate'] });
  const pools = { ipv4: pool('10.0.0.0/24'), ipv6: pool('fd00::/120') };
  const engine = createPolicyEngine();
  const table = createEndpointTable();
  const ipcache = createDesiredIpcache();
  const translation = createPolicyTranslation();
  const slots = createNodeSlots(100, node.datapath);
  const subjects = createPolicySubjects(() => table.subjectsInUse());
  const ports = createIdentityPorts((identity) => node.identities.labelsOf(identity));
  const published: number[] = [];
  const publishRuleSets = async (): Promise<void> => void published.push(translation.ruleSetTable().size);
  const logger = silent;
  const controller = createPolicyController({ engine, datapath, slots, translation, publishRuleSets, clock, logger });
  const placement = createEndpointPlacement({ table, controller, slots, subjects, ports, ipcache });
  const prefixIdentities = createPrefixIdentities();
  const references = createServiceReferences(() => node.services.values());
  const forPrefixes = { identities: prefixIdentities, ipcache, services: references, controller, logger };
  const prefixes = createPolicyPrefixes(forPrefixes);
  const service = (key: string): Service | undefined => node.services.get(key);
  const servicePeers = createServicePeers({ references, prefixes, controller, service, clock, logger });
  const labelFilter = createIdentityLabelFilter('');
  const namespaceLabels = createNamespaceLabelTable(join(node.directory, 'namespaces.json'));
  const forLabels = { labelFilter, namespaces: namespaceLabels };
  const forEndpoints = {
    table,
    placement,
    datapath,
    identities,
    pools,
    podNetwork,
    store,
    ...forLabels,
    clock,
    logger,
  };
  const manager = createEndpointManager({ ...forEndpoints, mtu: 1500 });
  const namespaces = createNamespaces({ labels: namespaceLabels, manager });
  return {
    ...{
      engine,
      table,
      pools,
      slots,
      ipcache,
      translation,
      controller,
      placement,
      store,
      manager,
      namespaceLabels,
      namespaces,
      published,
      prefixes,
      prefixIdentities,
      servicePeers,
    },
    restore: (upsertPolicies = []) =>
      restoreEndpoints(
        { ...forEndpoints, controller, manager, slots, subjects, ports },
        prefixes.include({ upsertPolicies }),
      ),
    prune: () => prune({ datapath, controller, table, slots, ipcache, podNetwork }),
  };
}

/** Everything on a node that comes and goes with endpoints; nothing of it must be left when they are gone. */
export function inventory({ datapath, podNetwork, identities, directory }: TestNode, agent: TestAgent): object {
  return {
    endpoints: agent.table.list().map(({ record }) => record.id),
    ipv4: agent.pools.ipv4.allocatedCount,
    ipv6: agent.pools.ipv6.allocatedCount,
    inUse: [...agent.table.subjectsInUse()],
    identities: identities.held(),
    devices: [...podNetwork.devices.keys()],
    attached: [...datapath.attached.keys()],
    inKernel: datapath.listEndpoints().map(({ id }) => id),
    ipcache: datapath.ipcache().length,
    policies: datapath.listPolicySlots(),
    behind: [...agent.controller.behind.keys()],
    files: readdirSync(directory, { recursive: true }).filter((name) => String(name).endsWith('.json')),
  };
}

/** A pod to attach. */
export function podSpec(pod: string, more: Partial<EndpointSpec> = {}): EndpointSpec {
  return {
    ...{ containerId: `c-${pod}`, ifName: 'eth0', network: 'weir', netns: `/run/netns/${pod}` },
    ...{ namespace: 'default', pod, labels: { app: pod } },
    ...more,
  };
}

/** A call of the plugin. */
export function cniCall(pod: string, more: Partial<CniRequest> = {}): CniRequest {
  return {
    ...{
      command: 'ADD',
      cniVersion: '1.1.0',
      ...podSpec(pod),
      namedPorts: [],
      prevResult: undefined,
      validAttachments: [],
    },
    ...more,
  };
}

/** A policy: `app` takes calls from `from` on some ports, by number or by name. */
export function policyFor(
  app: string,
  { from, ports = [80] }: { from: string; ports?: readonly (number | string)[] },
): Policy {
  const toPorts = ports.map((port) => ({ ports: [{ port: String(port), protocol: 'TCP' }] }));
  return readPolicy(app, { ingress: [{ fromEndpoints: [{ matchLabels: { app: from } }], toPorts }] });
}

/** A policy: `app` may call `to` on a port, and nobody else. */
export function egressPolicy(app: string, { to, port }: { to: string; port: number | string }): Policy {
  const toPorts = [{ ports: [{ port: String(port), protocol: 'TCP' }] }];
  return readPolicy(`${app}-out`, { egress: [{ toEndpoints: [{ matchLabels: { app: to } }], toPorts }] }, app);
}

function readPolicy(name: string, sections: object, app = name): Policy {
  const document = {
    apiVersion: 'cilium.io/v2',
    kind: 'CiliumNetworkPolicy',
    metadata: { name },
    spec: { endpointSelector: { matchLabels: { app } }, ...sections },
  };
  const { policies, problems } = parsePolicyFiles([{ name: `${name}.json`, content: JSON.stringify(document) }]);
  const [policy] = policies;
  if (policy === undefined) throw new TypeError(JSON.stringify(problems));
  return policy;
}
