// SPDX-License-Identifier: Apache-2.0
import { type FlowAggregation, flowAggregations } from '@weir/model';
import type { weir } from '@weir/proto';
import { onStdout, outputOption, type OutputFormat, print, table } from '@weir/terminal';
import { type Command, Option } from 'commander';
import { withAgent } from '../agent.ts';
import { bytesText } from '../bytes-text.ts';

type Endpoint = weir.agent.v1.IEndpoint;

const enforcement = ({ ingressEnforced, egressEnforced }: Endpoint): string =>
  ingressEnforced && egressEnforced ? 'both' : ingressEnforced ? 'ingress' : egressEnforced ? 'egress' : 'none';

const stateText = ({ state }: Endpoint): string =>
  state === 'ready' ? onStdout.green(state) : state === 'invalid' ? onStdout.red(state) : onStdout.yellow(state ?? '');

/** One row an endpoint; further labels go on lines of their own. */
function rowsOf(endpoint: Endpoint): string[][] {
  const [first = '', ...rest] = endpoint.labels ?? [];
  const { id, namespace, pod, identity, ipv4, ipv6 } = endpoint;
  return [
    [
      ...[String(id), `${namespace}/${pod}`, stateText(endpoint), enforcement(endpoint), String(identity)],
      ...[first, ipv4 ?? '', ipv6 ?? ''],
    ],
    ...rest.map((label) => ['', '', '', '', '', label]),
  ];
}

/** Below the table: what keeps endpoints from being ready. */
const reasonsText = (endpoints: readonly Endpoint[]): string =>
  endpoints.flatMap(({ namespace, pod, reason }) => (reason ? [`${namespace}/${pod}: ${reason}\n`] : [])).join('');

const listText = (endpoints: readonly Endpoint[]): string =>
  table(
    ['ENDPOINT', 'POD', 'STATE', 'POLICY', 'IDENTITY', 'LABELS', 'IPV4', 'IPV6'],
    endpoints.toSorted((a, b) => (a.id ?? 0) - (b.id ?? 0)).flatMap(rowsOf),
  ) + reasonsText(endpoints);

function detailText(endpoint: Endpoint): string {
  const lines: [string, string | number | null | undefined][] = [
    ['Endpoint', endpoint.id],
    ['Pod', `${endpoint.namespace}/${endpoint.pod}`],
    ['Container', endpoint.containerId],
    ['State', endpoint.reason ? `${stateText(endpoint)}: ${endpoint.reason}` : stateText(endpoint)],
    ['Identity', endpoint.identity],
    ['Labels', (endpoint.labels ?? []).join(', ')],
    ['Named ports', (endpoint.namedPorts ?? []).join(', ') || 'none'],
    ['IPv4', endpoint.ipv4],
    ['IPv6', endpoint.ipv6],
    ['MAC', endpoint.mac],
    ['Interface', `${endpoint.hostInterface} (index ${endpoint.hostIfindex})`],
    ['Namespace', endpoint.netns],
    ['Policy', `${enforcement(endpoint)} enforced, revision ${endpoint.policyRevision}`],
    ['Audit mode', endpoint.audit ? onStdout.yellow('on: what policy denies is let through, and reported') : 'off'],
    ['Aggregation', endpoint.aggregation || 'as the node has it'],
    ['Policies', (endpoint.policies ?? []).join(', ') || 'none selects it'],
    ['Created', new Date(endpoint.createdMs ?? 0).toISOString()],
  ];
  return lines.map(([name, value]) => `${onStdout.bold(`${name}:`.padEnd(12))} ${value}\n`).join('');
}

/** What is in the kernel of each rule that selects it. */
function rulesText(rules: readonly weir.agent.v1.IEndpointRule[]): string {
  if (rules.length === 0) return '';
  const rows = rules.map(({ policy, path, verdict, entries, packets, bytes }) => [
    ...[policy ?? '', path ?? '', verdict ?? '', String(entries ?? 0), String(packets ?? 0), bytesText(bytes ?? 0)],
  ]);
  return `\n${table(['POLICY', 'RULE', 'VERDICT', 'ENTRIES', 'PACKETS', 'BYTES'], rows)}`;
}

interface ConfigFlags {
  readonly output: OutputFormat;
  readonly audit?: 'on' | 'off';
  readonly aggregation?: FlowAggregation;
}

/** Adds `endpoint list`, `get` and `config`. */
export function addEndpointCommands(program: Command): void {
  const endpoint = program.command('endpoint').description('the pods of this node');
  endpoint
    .command('list')
    .description('all of them')
    .addOption(outputOption())
    .action(async ({ output }: { output: OutputFormat }, self: Command) => {
      const { endpoints } = await withAgent(self, (agent) => agent.listEndpoints({}));
      print(output, endpoints, () => listText(endpoints));
    });
  endpoint
    .command('get')
    .description('one of them, with what the rules that select it have come to')
    .argument('<endpoint>', 'number, namespace/pod, container id or address')
    .addOption(outputOption())
    .action(async (reference: string, { output }: { output: OutputFormat }, self: Command) => {
      const response = await withAgent(self, (agent) => agent.getEndpoint({ endpoint: { reference } }));
      const { endpoint: found, rules } = response;
      // Assigned, not spread: a message inherits its defaults.
      print(output, Object.assign(found ?? {}, { rules }), () => `${detailText(found ?? {})}${rulesText(rules)}`);
    });
  endpoint
    .command('config')
    .description('change how one of them is treated; returns when it is')
    .argument('<endpoint>', 'number, namespace/pod, container id or address')
    .addOption(
      new Option('--audit <mode>', 'whether what policy denies is let through and reported as audited').choices([
        'on',
        'off',
      ]),
    )
    .addOption(
      new Option(
        '--aggregation <level>',
        'what is reported of its running connections: every packet (none), to how they begin (maximum)',
      ).choices(flowAggregations),
    )
    .addOption(outputOption())
    .action(async (reference: string, flags: ConfigFlags, self: Command) => {
      const { output, audit = '', aggregation = '' } = flags;
      if (audit === '' && aggregation === '') self.error('error: expected --audit or --aggregation');
      const request = { endpoint: { reference }, audit, aggregation };
      const response = await withAgent(self, (agent) => agent.patchEndpointConfig(request));
      print(output, response.endpoint, () => detailText(response.endpoint ?? {}));
    });
}
