// SPDX-License-Identifier: Apache-2.0
import { formatDurationMs } from '@weir/clock';
import type { LogLevel } from '@weir/telemetry';
import { onStdout, outputOption, print, progress, table, type OutputFormat } from '@weir/terminal';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Ipam, Routing } from '../lab/lab-spec.ts';
import { type LabStore, labStores } from '../lab/store-program.ts';
import type { LabStatus, NodeStatus } from '../lab/lab-status.ts';
import { nodesMax } from '../network/plan.ts';
import type { ServiceStatus } from '../supervisor/api.ts';
import { labOf } from './command-context.ts';
import { parseNodeLabels } from './labels.ts';

// The logger itself is not needed here, and takes its time to load.
const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const satisfies readonly LogLevel[];

interface UpFlags {
  readonly nodes?: number;
  readonly routing?: Routing;
  readonly store?: LabStore;
  readonly ipam?: Ipam;
  readonly storeProgram?: string;
  readonly allocators?: number;
  readonly timeout: number;
  readonly dist?: string;
  readonly nodeLabels?: Readonly<Record<string, string>>;
  readonly agentArg?: readonly string[];
  readonly logLevel: string;
  readonly output: OutputFormat;
}

const allocatorsMax = 9;

const collect = (value: string, previous: readonly string[] = []): string[] => [...previous, value];

function wholeNumber(max: number): (text: string) => number {
  return (text) => {
    const number = Number(text);
    if (/^\d+$/.test(text) && number >= 1 && number <= max) return number;
    throw new InvalidArgumentError(`Expected a whole number from 1 to ${max}.`);
  };
}

/** Adds `up`, `status` and `down`. */
export function addLifecycleCommands(program: Command): void {
  program
    .command('up')
    .description('make the lab and wait until its nodes are ready; one that is up stays as it is')
    .option('--nodes <count>', `how many nodes, 1–${nodesMax} (1 if there is no lab yet)`, wholeNumber(nodesMax))
    .addOption(
      new Option(
        '--routing <mode>',
        'how packets reach pods of other nodes (default: direct for one node, overlay for more)',
      ).choices(['direct', 'overlay']),
    )
    .addOption(
      new Option('--store <backend>', 'where identities live, on a server of the lab (default: embedded)').choices(
        labStores,
      ),
    )
    .addOption(
      new Option('--ipam <mode>', 'who gives nodes their pod ranges: the lab or an operator (default: lab)').choices([
        'lab',
        'cluster',
      ]),
    )
    .option('--store-program <file>', 'the server of that store, if not the one on the PATH')
    .option('--allocators <count>', 'how many identity-allocators share the store (1)', wholeNumber(allocatorsMax))
    .option('--timeout <seconds>', 'how long the nodes may take', wholeNumber(3600), 60)
    .option('--dist <directory>', 'where the programs are, if not where `make build` puts them')
    .option('--node-labels <node:k=v,k=v>', 'labels of a node, for policies; may be repeated', parseNodeLabels)
    .option('--agent-arg <flag>', 'a further flag for the agents, as in --agent-arg=--enable-policy=always', collect)
    .addOption(new Option('--log-level <level>', 'of all services').choices(logLevels).default('info'))
    .addOption(outputOption())
    .action(async (flags: UpFlags, command: Command) => up(flags, command));
  program
    .command('status')
    .description('how the lab, its services and its nodes are')
    .addOption(outputOption())
    .action(async ({ output }: { readonly output: OutputFormat }, command: Command) => {
      const status = await (await labOf(command)).status();
      print(output, status, () => describeStatus(status));
      if (status.supervisorPid === undefined) process.exitCode = 1;
    });
  program
    .command('down')
    .description('remove the lab and everything that it has made, whatever state it is in')
    .addOption(outputOption())
    .action(async ({ output }: { readonly output: OutputFormat }, command: Command) => {
      const lab = await labOf(command);
      const existed = await lab.down();
      print(output, { name: lab.name, existed }, () => '');
      progress(existed ? `Lab "${lab.name}" is gone` : `There is no lab "${lab.name}"`);
    });
}

async function up(flags: UpFlags, command: Command): Promise<void> {
  const lab = await labOf(command);
  const startedMs = performance.now();
  const { alreadyUp, nodeCount, podCount } = await lab.up({
    ...(flags.nodes !== undefined && { nodeCount: flags.nodes }),
    ...(flags.routing !== undefined && { routing: flags.routing }),
    ...(flags.store !== undefined && { store: flags.store }),
    ...(flags.ipam !== undefined && { ipam: flags.ipam }),
    ...(flags.storeProgram !== undefined && { storeProgram: flags.storeProgram }),
    ...(flags.allocators !== undefined && { allocatorCount: flags.allocators }),
    ...(flags.dist !== undefined && { distDirectory: flags.dist }),
    ...(flags.nodeLabels && { nodeLabels: flags.nodeLabels }),
    ...(flags.agentArg && { agentArguments: flags.agentArg }),
    logLevel: flags.logLevel,
    timeoutMs: flags.timeout * 1000,
    onProgress: progress,
  });
  const what = `${count(nodeCount, 'node')}, ${count(podCount, 'pod')}`;
  const tookMs = Math.round(performance.now() - startedMs);
  progress(
    alreadyUp
      ? `Lab "${lab.name}" is up already: ${what}`
      : `Lab "${lab.name}" is up: ${what}, after ${formatDurationMs(tookMs)}`,
  );
  print(flags.output, { name: lab.name, alreadyUp, nodeCount, podCount, tookMs }, () => '');
}

/** How long ago a time was, in whole seconds. */
function since(timeMs: number): string {
  const seconds = Math.floor((Date.now() - timeMs) / 1000);
  return seconds < 1 ? 'under 1s' : formatDurationMs(seconds * 1000);
}

const count = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? '' : 's'}`;

function describeStatus(status: LabStatus): string {
  const age = since(status.createdMs);
  const head =
    status.supervisorPid === undefined
      ? onStdout.red(`Lab "${status.name}" has died: \`weir lab up\` makes it anew, \`weir lab down\` removes it`)
      : `Lab "${status.name}" is up for ${age}: ${count(status.nodes.length, 'node')}, ${count(status.podCount, 'pod')}`;
  const nodes = table(['NODE', 'ADDRESSES', 'POD RANGES', 'PODS', 'AGENT'], status.nodes.map(nodeRow));
  const services = table(['SERVICE', 'STATE', 'PID', 'UP', 'RESTARTS', 'LOG'], status.services.map(serviceRow));
  return [head, nodes.trimEnd(), services.trimEnd()].join('\n\n').concat('\n');
}

function nodeRow({ name, address, podRange, pods, agent }: NodeStatus): string[] {
  return [
    name,
    `${address.ipv4} ${address.ipv6}`,
    `${podRange.ipv4} ${podRange.ipv6}`,
    String(pods),
    agent.kind === 'silent' ? onStdout.red(agent.reason) : agentHealth(agent),
  ];
}

function agentHealth({ components }: Extract<NodeStatus['agent'], { kind: 'answering' }>): string {
  const unwell = components.filter(({ state }) => state !== 'Ok');
  if (unwell.length === 0) return onStdout.green('ready');
  return onStdout.yellow(unwell.map(({ name, state, message }) => `${name}: ${state} ${message}`.trimEnd()).join('; '));
}

function serviceRow({ name, state, restarts, logFile }: ServiceStatus): string[] {
  const pid = 'pid' in state ? String(state.pid) : '-';
  const up =
    state.kind === 'running' ? formatDurationMs(Math.floor((Date.now() - state.startedMs) / 1000) * 1000) : '-';
  const colour = state.kind === 'running' ? onStdout.green : state.kind === 'waiting' ? onStdout.red : onStdout.yellow;
  return [name, colour(state.kind), pid, up, String(restarts), logFile];
}
