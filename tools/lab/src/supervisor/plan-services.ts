// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import type { Installation } from '../lab/installation.ts';
import type { LabPaths } from '../lab/lab-paths.ts';
import type { LabSpec } from '../lab/lab-spec.ts';
import { enter } from '../machine/enter.ts';
import type { Argv } from '../machine/run-command.ts';
import { lanDevice, lanMtu, type NetworkPlan, type NodePlan } from '../network/plan.ts';
import type { ServiceSpec } from './service.ts';

const observerPort = 4_244;

export interface PlanServices {
  readonly paths: LabPaths;
  readonly spec: LabSpec;
  readonly network: NetworkPlan;
  readonly installation: Installation;
}

/**
 * The processes of a lab: on each node an agent and a proxy; beside the first one an identity-allocator, and a relay that
 * serves the flows of all nodes when there are several.
 */
export function planServices(plan: PlanServices): readonly ServiceSpec[] {
  const [first] = plan.network.nodes;
  return [
    ...(first === undefined ? [] : [identityAllocator(plan, first)]),
    ...plan.network.nodes.flatMap((node) => [agent(plan, node), l7Proxy(plan, node)]),
    ...(first !== undefined && plan.network.nodes.length > 1 ? [monitorRelay(plan, first)] : []),
  ];
}

/** The cgroup of a service, or of anything else that a name stands for in a lab. */
export const labCgroup = (spec: LabSpec, name: string): string => join(spec.cgroup, name);

function identityAllocator(plan: PlanServices, node: NodePlan): ServiceSpec {
  const { paths, installation } = plan;
  return service(plan, node, {
    name: 'identity-allocator',
    command: [
      ...installation.identityAllocator,
      ...common({
        node: node.name,
        runDirectory: paths.identityDirectory,
        stateDirectory: paths.identityDirectory,
        plan,
      }),
      ...['--listen', `unix:${paths.identitySocket}`],
      ...['--store', 'embedded', '--store-path', join(paths.identityDirectory, 'identities.db')],
      ...plan.spec.allocatorArguments,
    ],
  });
}

function agent(plan: PlanServices, node: NodePlan): ServiceSpec {
  const { paths, spec, installation } = plan;
  const { bpfRoot, runDirectory, stateDirectory } = paths.node(node.name);
  return service(plan, node, {
    name: `${node.name}/agent`,
    command: [
      ...installation.agent,
      ...common({ node: node.name, runDirectory, stateDirectory, plan }),
      ...['--bpf-root', bpfRoot, '--cgroup', labCgroup(spec, node.name)],
      ...['--identity-allocator', `unix:${paths.identitySocket}`],
      ...['--ipv4-range', node.podRange.ipv4, '--ipv6-range', node.podRange.ipv6],
      ...['--devices', lanDevice, '--routing', spec.routing],
      ...(spec.routing === 'direct' ? ['--mtu', String(lanMtu)] : []),
      ...(plan.network.nodes.length > 1 ? servesFlows(node) : []),
      ...spec.agentArguments,
    ],
  });
}

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

function service(plan: PlanServices, node: NodePlan, what: { name: string; command: Argv }): ServiceSpec {
  const place = { netns: node.netns, cgroup: labCgroup(plan.spec, what.name) };
  return {
    name: what.name,
    command: enter(place, what.command),
    logFile: join(plan.paths.logDirectory, `${what.name.replace('/', '-')}.log`),
  };
}
