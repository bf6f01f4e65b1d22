// SPDX-License-Identifier: Apache-2.0
import { clusterPeer, formatProtocol } from '@weir/model';
import type { weir } from '@weir/proto';
import { onStdout, outputOption, type OutputFormat, print, table } from '@weir/terminal';
import type { Command } from 'commander';
import { type Agent, withAgent } from '../agent.ts';
import { bytesText } from '../bytes-text.ts';
import { addBpfLbCommand } from './bpf-lb.ts';

type Connection = weir.agent.v1.IConnection;
type PolicyEntry = weir.agent.v1.IPolicyEntry;
type MasqueradedFlow = weir.agent.v1.IMasqueradedFlow;
type IpcacheEntry = weir.agent.v1.IIpcacheEntry;

const icmpPorts = 256;

const any = (value: number | null | undefined): string => (value ? String(value) : 'any');

const end = (address: string | null | undefined, port: number | null | undefined): string => {
  const host = address?.includes(':') ? `[${address}]` : (address ?? '');
  return port ? `${host}:${port}` : host;
};

const verdictText = (verdict: string): string =>
  verdict === 'deny' ? onStdout.red(verdict) : verdict === 'allow' ? onStdout.green(verdict) : onStdout.yellow(verdict);

/** One port, or the first and the last of a range. Types of ICMP are ports from 256 on. */
function portText({ protocol, port, portPrefixLength }: PolicyEntry): string {
  const first = port ?? 0;
  const length = portPrefixLength ?? 0;
  if (length === 0) return 'any';
  if (protocol === 1 || protocol === 58) return `type ${first - icmpPorts}`;
  return length === 16 ? String(first) : `${first}–${first + (1 << (16 - length)) - 1}`;
}

const peerText = ({ peerIdentity }: PolicyEntry): string =>
  peerIdentity === clusterPeer ? 'all pods' : any(peerIdentity);

const policyText = (entries: readonly PolicyEntry[]): string =>
  table(
    ['IDENTITY', 'DIRECTION', 'PEER', 'LABELS', 'PROTOCOL', 'PORT', 'VERDICT', 'RULE SET', 'RULES SAW', 'POLICIES'],
    entries.map((entry) => [
      ...[String(entry.subjectIdentity), entry.direction ?? '', peerText(entry)],
      ...[(entry.peerLabels ?? []).join(','), formatProtocol(entry.protocol ?? 0), portText(entry)],
      ...[verdictText(entry.verdict ?? ''), entry.ruleSet ? String(entry.ruleSet) : '-'],
      `${entry.packets} / ${bytesText(entry.bytes ?? 0)}`,
      (entry.policies ?? []).join(', '),
    ]),
  );

const connectionsText = (connections: readonly Connection[]): string =>
  table(
    ['PROTOCOL', 'FROM', 'TO', 'IDENTITIES', 'STATE', 'FLAGS', 'EXPIRES', 'SENT', 'ANSWERED'],
    connections.map((each) => [
      formatProtocol(each.protocol ?? 0),
      end(each.source, each.sourcePort),
      end(each.destination, each.destinationPort),
      `${each.sourceIdentity} → ${each.destinationIdentity}`,
      each.state ?? '',
      (each.flags ?? []).join(', '),
      `${each.expiresS} s`,
      `${each.forwardPackets} / ${bytesText(each.forwardBytes ?? 0)}`,
      `${each.replyPackets} / ${bytesText(each.replyBytes ?? 0)}`,
    ]),
  );

const masqueradedFlowsText = (flows: readonly MasqueradedFlow[]): string =>
  table(
    ['PROTOCOL', 'POD', 'AS', 'TO', 'STATE', 'EXPIRES'],
    flows.map((each) => [
      formatProtocol(each.protocol ?? 0),
      end(each.pod, each.podPort),
      end(each.node, each.nodePort),
      end(each.remote, each.remotePort),
      each.state ?? '',
      `${each.expiresS} s`,
    ]),
  );

async function allMasqueradedFlows(agent: Agent): Promise<MasqueradedFlow[]> {
  const all: MasqueradedFlow[] = [];
  for await (const { flows } of agent.listMasqueradedFlows({})) all.push(...flows);
  return all;
}

async function allConnections(agent: Agent): Promise<Connection[]> {
  const all: Connection[] = [];
  for await (const { connections } of agent.listConnections({})) all.push(...connections);
  return all;
}

const byPrefix = (a: IpcacheEntry, b: IpcacheEntry): number => {
  const [left, right] = [a.prefix ?? '', b.prefix ?? ''];
  const family = (prefix: string): number => (prefix.includes(':') ? 6 : 4);
  return family(left) - family(right) || left.localeCompare(right, 'en', { numeric: true });
};

interface List<Row> {
  readonly name: string;
  readonly description: string;
  readonly argument?: readonly [string, string];
  readonly fetch: (agent: Agent, argument: string | undefined) => Promise<readonly Row[]>;
  readonly text: (rows: readonly Row[]) => string;
}

/** Adds `NAME list`, which prints rows of one kind. */
function addList<Row>(bpf: Command, { name, description, argument, fetch, text }: List<Row>): void {
  const list = bpf.command(name).description(description).command('list').description(description);
  if (argument !== undefined) list.argument(...argument);
  list.addOption(outputOption()).action(async (...given: unknown[]) => {
    const self = given.at(-1) as Command;
    const { output } = given.at(-2) as { output: OutputFormat };
    const reference = argument === undefined ? undefined : (given[0] as string | undefined);
    const rows = await withAgent(self, (agent) => fetch(agent, reference));
    print(output, rows, () => text(rows));
  });
}

/** Adds the `bpf` commands: what is in the kernel's maps. */
export function addBpfCommands(program: Command): void {
  const bpf = program.command('bpf').description("what is in the kernel's maps");
  addList<PolicyEntry>(bpf, {
    name: 'policy',
    description: 'who may reach the endpoints of this node, and whom they may reach',
    argument: ['[endpoint]', 'number, namespace/pod, container id or address; default: all'],
    fetch: async (agent, reference) =>
      (await agent.listPolicyEntries(reference === undefined ? {} : { endpoint: { reference } })).entries,
    text: policyText,
  });
  addList<Connection>(bpf, {
    name: 'ct',
    description: 'flows that are remembered',
    fetch: allConnections,
    text: connectionsText,
  });
  addList<MasqueradedFlow>(bpf, {
    name: 'nat',
    description: "flows of pods out of the cluster, in this node's name",
    fetch: allMasqueradedFlows,
    text: masqueradedFlowsText,
  });
  addList<IpcacheEntry>(bpf, {
    name: 'ipcache',
    description: 'which identity has which address',
    fetch: async (agent) => (await agent.listIpcache({})).entries.toSorted(byPrefix),
    text: (entries) =>
      table(
        ['PREFIX', 'IDENTITY', 'LABELS'],
        entries.map(({ prefix, identity, labels }) => [prefix ?? '', String(identity), (labels ?? []).join(',')]),
      ),
  });
  addList<weir.agent.v1.ITunnel>(bpf, {
    name: 'tunnel',
    description: 'where the overlay leads, and whom it is believed from',
    fetch: async (agent) => (await agent.listTunnels({})).tunnels,
    text: (tunnels) =>
      table(
        ['NODE', 'POD RANGES', 'ADDRESSES'],
        tunnels.map(({ address, podRanges, addresses }) => [
          ...[address ?? '', (podRanges ?? []).join(' '), (addresses ?? []).join(' ')],
        ]),
      ),
  });
  addList<weir.agent.v1.IDatapathEndpoint>(bpf, {
    name: 'endpoint',
    description: 'interfaces of pods',
    fetch: async (agent) => (await agent.listDatapathEndpoints({})).endpoints,
    text: (endpoints) =>
      table(
        ['INTERFACE', 'ENDPOINT', 'IDENTITY', 'MAC', 'IPV4', 'IPV6'],
        endpoints.map(({ ifindex, endpointId, identity, mac, ipv4, ipv6 }) =>
          [ifindex, endpointId, identity, mac, ipv4, ipv6].map((cell) => String(cell ?? '')),
        ),
      ),
  });
  addList<weir.agent.v1.IDatapathMetric>(bpf, {
    name: 'metrics',
    description: 'packets forwarded, and dropped for which reason',
    fetch: async (agent) => (await agent.listDatapathMetrics({})).metrics,
    text: (metrics) =>
      table(
        ['REASON', 'DIRECTION', 'PACKETS', 'BYTES'],
        metrics.map(({ reason, direction, packets, bytes }) => [
          ...[reason ?? '', direction ?? '', String(packets), bytesText(bytes ?? 0)],
        ]),
      ),
  });
  addBpfLbCommand(bpf);
}
