// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import type { Installation } from '../lab/installation.ts';
import type { LabPaths } from '../lab/lab-paths.ts';
import type { LabSpec } from '../lab/lab-spec.ts';
import { enter } from '../machine/enter.ts';
import type { Argv } from '../machine/run-command.ts';
import { type HostPlan, lanDevice, lanMtu, type NetworkPlan, type NodePlan } from '../network/plan.ts';
import { storeCommand, storeEndpoint } from './plan-store.ts';
import type { ServiceSpec } from './service.ts';

const observerPort = 4_244;

export interface PlanServices {
  readonly paths: LabPaths;
  readonly spec: LabSpec;
  readonly network: NetworkPlan;
  readonly installation: Installation;
}

/**
 * The processes of a lab: a store, if it is not embedded; identity-allocators, each beside a node; on each node an agent and a
 * proxy; and beside the first one a relay that serves the flows of all nodes when there are several.
 */
export function planServices(plan: PlanServices): readonly ServiceSpec[] {
  const { nodes } = plan.network;
  const [first] = nodes;
  const indexes = Array.from({ length: plan.spec.allocatorCount }, (_, index) => index);
  return [
    ...store(plan),
    ...indexes.map((index) => identityAllocator(plan, nodes[index % nodes.length] as NodePlan, index)),
    ...operators(plan),
    ...nodes.flatMap((node) => [agent(plan, node), l7Proxy(plan, node)]),
    ...(first !== undefined && nodes.length > 1 ? [monitorRelay(plan, first)] : []),
  ];
}

/** The cgroup of a service, or of anything else that a name stands for in a lab. */
export const labCgroup = (spec: LabSpec, name: string): string => join(spec.cgroup, name);

function store(plan: PlanServices): ServiceSpec[] {
  const command = storeCommand(plan);
  return command === undefined ? [] : [service(plan, plan.network.world, { name: 'store', command })];
}

function storeFlags(plan: PlanServices): string[] {
  const endpoint = storeEndpoint(plan);
  return endpoint === undefined
    ? ['--store', 'embedded', '--store-path', join(plan.paths.identityDirectory, 'identities.db')]
    : ['--store', plan.spec.store, '--store-endpoint', endpoint];
}

/** The first allocator bears the plain name, further ones have a number. */
function identityAllocator(plan: PlanServices, node: NodePlan, index: number): ServiceSpec {
  const { paths, installation } = plan;
  return service(plan, node, {
    name: `identity-allocator${index === 0 ? '' : index + 1}`,
    command: [
      ...installation.identityAllocator,
      ...common({
        node: node.name,
        runDirectory: paths.identityDirectory,
        stateDirectory: paths.identityDirectory,
        plan,
      }),
      ...['--listen', `unix:${paths.identitySocket(index)}`],
      ...storeFlags(plan),
      ...(plan.spec.operatorCount > 0 ? ['--garbage-collection', 'operator'] : []),
      ...plan.spec.allocatorArguments,
    ],
  });
}

const operatorAddresses = ({ paths, spec }: PlanServices): string =>
  Array.from({ length: spec.operatorCount }, (_, index) => `unix:${paths.operatorSocket(index)}`).join(',');

const podRangeFlags = (plan: PlanServices, { podRange }: NodePlan): string[] =>
  plan.spec.ipam === 'cluster'
    ? ['--operator', operatorAddresses(plan)]
    : ['--ipv4-range', podRange.ipv4, '--ipv6-range', podRange.ipv6];

/** Beside the nodes in turn; the first one bears the plain name. Their store is that of the allocators, or a file. */
function operators(plan: PlanServices): ServiceSpec[] {
  const { paths, spec, installation, network } = plan;
  const endpoint = storeEndpoint(plan);
  const { identityDirectory: directory } = paths;
  return Array.from({ length: spec.operatorCount }, (_, index) => {
    const node = network.nodes[index % network.nodes.length] as NodePlan;
    const name = `operator${index === 0 ? '' : index + 1}`;
    return service(plan, node, {
      name,
      command: [
        ...installation.operator,
        ...['--name', name, '--log-level', spec.logLevel, '--run-dir', directory, '--state-dir', directory],
        ...['--listen', `unix:${paths.operatorSocket(index)}`, '--identity-allocator', allocatorAddresses(plan)],
        ...(endpoint === undefined ? [] : ['--store', spec.store, '--store-endpoint', endpoint]),
        ...spec.operatorArguments,
      ],
    });
  });
}

const allocatorAddresses = ({ paths, spec }: PlanServices): string =>
  Array.from({ length: spec.allocatorCount }, (_, index) => `unix:${paths.identitySocket(index)}`).join(',');

function agent(plan: PlanServices, node: NodePlan): ServiceSpec {
  const { paths, spec, installation } = plan;
  const { bpfRoot, runDirectory, stateDirectory } = paths.node(node.name);
  return service(plan, node, {
    name: `${node.name}/agent`,
    command: [
      ...installation.agent,
      ...common({ node: node.name, runDirectory, stateDirectory, plan }),
      ...['--bpf-root', bpfRoot, '--cgroup', labCgroup(spec, node.name)],
      ...['--identity-allocator', allocatorAddresses(plan)],
      ...podRangeFlags(plan, node),
      ...['--devices', lanDevice, '--routing', spec.routing],
      ...(spec.routing === 'direct' ? ['--mtu', String(lanMtu)] : []),
      ...(plan.network.nodes.length > 1 ? servesFlows(node) : []),
      ...labelFlags(spec.nodeLabels?.[node.name]),
      ...spec.agentArguments,
    ],
  });
}

const labelFlags = (labels: string | undefined): string[] => (labels === undefined ? [] : ['--node-labels', labels]);

/** The nodes of a lab are one machine. */
const servesFlows = ({ address }: NodePlan): string[] => [
  ...['--observer-listen', `${address.ipv4}:${observerPort}`, '--observer-plaintext', 'anywhere'],
];

function monitorRelay(plan: PlanServices, node: NodePlan): ServiceSpec {
  const { paths, installation, spec } = plan;
  return service(plan, node, {
    name: 'monitor-relay',
    command: [
      ...installation.monitorRelay,
      ...['--node-name', 'monitor-relay', '--log-level', spec.logLevel],
      ...['--peer-service', `unix:${paths.node(node.name).observerSocket}`],
      ...['--listen', `unix:${paths.relaySocket}`],
    ],
  });
}

function l7Proxy(plan: PlanServices, node: NodePlan): ServiceSpec {
  const { bpfRoot, runDirectory, stateDirectory, agentSocket } = plan.paths.node(node.name);
  return service(plan, node, {
    name: `${node.name}/l7-proxy`,
    command: [
      ...plan.installation.l7Proxy,
      ...common({ node: node.name, runDirectory, stateDirectory, plan }),
      ...['--bpf-root', bpfRoot, '--agent', `unix:${agentSocket}`],
    ],
  });
}

const common = (options: {
  readonly node: string;
  readonly runDirectory: string;
  readonly stateDirectory: string;
  readonly plan: PlanServices;
}): string[] => [
  ...['--node-name', options.node, '--log-level', options.plan.spec.logLevel],
  ...['--run-dir', options.runDirectory, '--state-dir', options.stateDirectory],
];

function service(plan: PlanServices, node: HostPlan, what: { name: string; command: Argv }): ServiceSpec {
  const place = { netns: node.netns, cgroup: labCgroup(plan.spec, what.name) };
  return {
    name: what.name,
    command: enter(place, what.command),
    logFile: join(plan.paths.logDirectory, `${what.name.replace('/', '-')}.log`),
  };
}
