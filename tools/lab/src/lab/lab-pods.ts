// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import type { NamedPort } from '@weir/model';
import type { weir } from '@weir/proto';
import type { Argv } from '../machine/run-command.ts';
import { checkPodName, defaultNamespace, findPod } from '../pods/pod-name.ts';
import { podKey, type PodRecord, type PodServer } from '../pods/pod-record.ts';
import { createPodStore } from '../pods/pod-store.ts';
import type { AgentClient } from './agent-client.ts';
import type { OpenLab } from './lab-context.ts';
import { waitForPeers } from './wait-for-peers.ts';
import { withAgents } from './with-agents.ts';

/** A pod, with the identity it has now. */
export interface Pod {
  readonly name: string;
  readonly namespace: string;
  readonly node: string;
  readonly ipv4: string;
  readonly ipv6: string;
  readonly endpointId: number;
  readonly identity: number;
  /** As `ip netns` names it. */
  readonly netns: string;
  readonly server?: PodServer;
}

export interface AddPodOptions {
  readonly name: string;
  /** `default` by default. */
  readonly namespace?: string;
  /** The first node by default. */
  readonly node?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** What its ports are called in policies. */
  readonly namedPorts?: readonly NamedPort[];
  /** What the pod runs; nothing by default. */
  readonly command?: Argv;
  /** Of the command; the caller's own by default. */
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Wait until the command listens on this TCP port. */
  readonly waitPort?: number;
  /** Wait a while for every node to know the pod; true by default. */
  readonly waitForNodes?: boolean;
}

/** A change of a pod's labels. */
export interface LabelChanges {
  readonly set?: Readonly<Record<string, string>>;
  readonly remove?: readonly string[];
  /** Wait a while for every node to know what has changed; true by default. */
  readonly waitForNodes?: boolean;
}

/** Makes a pod; returns when it is on the network, its command runs, and every node knows it. It leaves nothing behind when it fails. */
export async function addPod(lab: OpenLab, options: AddPodOptions): Promise<Pod> {
  const {
    name,
    namespace = defaultNamespace,
    node = 'node1',
    labels = {},
    namedPorts = [],
    command,
    waitPort,
  } = options;
  checkPodName({ namespace, name });
  if (waitPort !== undefined && (!Number.isInteger(waitPort) || waitPort < 1 || waitPort > 65535)) {
    throw new WeirError('INVALID_ARGUMENT', `Invalid port "${waitPort}" to wait for: expected 1–65535`);
  }
  if (waitPort !== undefined && command === undefined) {
    throw new WeirError('INVALID_ARGUMENT', `Port ${waitPort} to wait for: expected a command that listens on it`);
  }
  const env = stringEntries(options.env ?? process.env);
  const cwd = options.cwd ?? process.cwd();
  const server = command && { command, cwd, env, ...(waitPort !== undefined && { waitPort }) };
  const pod = podOf(
    await lab.supervisor.addPod({ name, namespace, node, labels, namedPorts, ...(server && { server }) }),
  );
  if (options.waitForNodes !== false) await waitForPeers(lab, pod);
  return pod;
}

/** Ends and removes a pod, named by `name` or `namespace/name`. */
export async function removePod(lab: OpenLab, reference: string): Promise<Pod> {
  const { namespace, name } = findPod(await podRecords(lab), reference);
  return podOf(await lab.supervisor.removePod({ namespace, name }));
}

/** Changes a pod's labels; returns when its new identity is enforced, and known to every node. */
export async function labelPod(lab: OpenLab, reference: string, changes: LabelChanges): Promise<Pod> {
  const pod = findPod(await podRecords(lab), reference);
  const set = Object.entries(changes.set ?? {}).map(([key, value]) => `${key}=${value}`);
  const request = { endpoint: { reference: podKey(pod) }, set, remove: [...(changes.remove ?? [])] };
  const changed = await withAgents(
    lab,
    async ([agent]) => {
      const response = await agent?.patchEndpointLabels(request);
      return podOf(pod, response?.endpoint?.identity ?? pod.identity);
    },
    [pod.node],
  );
  if (changes.waitForNodes !== false) await waitForPeers(lab, changed);
  return changed;
}

/** Labels of a namespace. */
export interface LabNamespace {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** Changes the labels of a namespace on all nodes; returns when what they make of its pods is enforced, and known to every node. */
export async function labelNamespace(lab: OpenLab, name: string, changes: LabelChanges): Promise<LabNamespace> {
  const set = Object.entries(changes.set ?? {}).map(([key, value]) => `${key}=${value}`);
  const request = { namespace: name, set, remove: [...(changes.remove ?? [])] };
  const [first] = await withAgents(lab, (agents) =>
    Promise.all(agents.map((agent) => agent.patchNamespaceLabels(request))),
  );
  const pods = (await listPods(lab)).filter(({ namespace }) => namespace === name);
  if (changes.waitForNodes !== false) for (const pod of pods) await waitForPeers(lab, pod);
  return namespaceOf(first?.namespace);
}

/** The namespaces that have labels. */
export async function listNamespaces(lab: OpenLab): Promise<readonly LabNamespace[]> {
  const first = lab.network.nodes.slice(0, 1).map(({ name }) => name);
  const found = await withAgents(
    lab,
    ([agent]) => agent?.listNamespaces({}) ?? Promise.resolve({ namespaces: [] }),
    first,
  );
  return found.namespaces.map(namespaceOf);
}

const namespaceOf = (message: weir.agent.v1.INamespace | null | undefined): LabNamespace => ({
  name: message?.name ?? '',
  labels: Object.fromEntries((message?.labels ?? []).map((label) => splitAtEquals(label))),
});

const splitAtEquals = (label: string): [string, string] => {
  const at = label.indexOf('=');
  return [label.slice(0, at), label.slice(at + 1)];
};

/** All pods, in order of namespace and name. Where an agent does not answer, with the identities they once had. */
export async function listPods(lab: OpenLab): Promise<readonly Pod[]> {
  const records = await podRecords(lab);
  const nodes = [...new Set(records.map(({ node }) => node))];
  const identities = await withAgents(lab, (agents) => Promise.all(agents.map(identitiesOf)), nodes);
  const byContainer = new Map(identities.flatMap((entries) => [...entries]));
  return records.map((record) => podOf(record, byContainer.get(record.containerId)));
}

/** Container id → identity, as an agent has it now; nothing when it does not answer. */
async function identitiesOf(agent: AgentClient): Promise<ReadonlyMap<string, number>> {
  try {
    const { endpoints } = await agent.listEndpoints({}, { deadlineMs: 2_000 });
    return new Map(endpoints.map(({ containerId, identity }) => [containerId ?? '', identity ?? 0]));
  } catch {
    return new Map();
  }
}

const podRecords = (lab: OpenLab): Promise<readonly PodRecord[]> => createPodStore(lab.paths.podDirectory).list();

function podOf(record: PodRecord, identity = record.identity): Pod {
  const { name, namespace, node, ipv4, ipv6, endpointId, netns, server } = record;
  return { name, namespace, node, ipv4, ipv6, endpointId, identity, netns, ...(server && { server }) };
}

const stringEntries = (env: NodeJS.ProcessEnv): Record<string, string> =>
  Object.fromEntries(Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined));
