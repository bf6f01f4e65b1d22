// SPDX-License-Identifier: Apache-2.0
import { OperatorDefinition, type weir } from '@weir/proto';
import { createRpcClient, openTlsIdentity, parseRpcAddress, type RpcClientOptions } from '@weir/rpc';
import { checkedFlag } from '@weir/service';
import { onStdout, outputOption, type OutputFormat, print, table } from '@weir/terminal';
import { WeirError } from '@weir/errors';
import { type Command, Option } from 'commander';

type Status = weir.operator.v1.GetStatusResponse;

interface StatusFlags {
  readonly operator: string;
  readonly tlsCa?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly output: OutputFormat;
}

const serverName = 'operator.weir';
const deadlineMs = 10_000;
const timeOf = (ms: number): string => new Date(ms).toISOString();

function poolText(pool: weir.operator.v1.IPool | null | undefined, inUse: number): string {
  const { prefix = '', nodePrefixLength = 0, capacity = 0 } = pool ?? {};
  const free = Math.max(0, (capacity ?? 0) - inUse);
  return `${prefix}, a /${nodePrefixLength} each: ${inUse} handed out, ${free} of ${capacity} free`;
}

const roleText = ({ role, leader }: Status): string => {
  if (role === 'leader') return onStdout.green('leader');
  return role === 'follower' ? `follower of ${leader || 'nobody yet'}` : onStdout.red('away');
};

const nodeText = ({ absentSinceMs }: weir.operator.v1.INodeRanges, graceMs: number): string => {
  if (!absentSinceMs) return 'present';
  return `absent since ${timeOf(absentSinceMs)}, free from ${timeOf(absentSinceMs + graceMs)}`;
};

function statusText(status: Status): string {
  const { name, version, startedMs, nodes, reason, lastCollection, collections, releases, graceMs } = status;
  const absent = nodes.filter(({ absentSinceMs }) => absentSinceMs).length;
  const last =
    lastCollection && `, the last one ${timeOf(lastCollection.atMs ?? 0)} took ${lastCollection.deleted ?? 0}`;
  const lines: [string, string][] = [
    ['Operator', `${name} (weir ${version})`],
    ['Up since', timeOf(startedMs)],
    ['Role', `${roleText(status)}${reason === '' ? '' : `  ${onStdout.yellow(reason)}`}`],
    ['IPv4 pool', poolText(status.ipv4Pool, nodes.length)],
    ['IPv6 pool', poolText(status.ipv6Pool, nodes.length)],
    ['Nodes', `${nodes.length} with ranges, ${absent} of them absent, ${releases} given up for gone`],
    ['Collections', `${collections} of garbage${last ?? ''}`],
  ];
  const head = lines.map(([key, value]) => `${onStdout.bold(`${key}:`.padEnd(13))} ${value}\n`).join('');
  if (nodes.length === 0) return head;
  const rows = nodes.map((each) => [
    ...[each.node ?? '', each.ranges?.ipv4 ?? '', each.ranges?.ipv6 ?? ''],
    nodeText(each, graceMs),
  ]);
  return `${head}\n${table(['NODE', 'IPV4', 'IPV6', 'STATE'], rows)}`;
}

function openTls({ tlsCa: ca, tlsCert: certificate, tlsKey: key }: StatusFlags): RpcClientOptions['tls'] {
  if (ca === undefined && certificate === undefined && key === undefined) return undefined;
  if (ca === undefined || certificate === undefined || key === undefined) {
    throw new WeirError('INVALID_ARGUMENT', 'TLS needs --tls-ca, --tls-cert and --tls-key');
  }
  return { identity: openTlsIdentity({ ca, certificate, key }), serverName };
}

async function askStatus(flags: StatusFlags): Promise<Status> {
  const tls = openTls(flags);
  const client = createRpcClient(OperatorDefinition, { address: flags.operator, deadlineMs, ...(tls && { tls }) });
  try {
    return await client.getStatus({});
  } finally {
    client.close();
    tls?.identity.close();
  }
}

/** Adds `operator status`. Exit status 1 when it cannot reach its store, or could not do its work the last time. */
export function addOperatorCommands(program: Command): void {
  const operator = program.command('operator').description('what does things once for the cluster');
  operator
    .command('status')
    .description('which operator leads, and who has which pod ranges')
    .addOption(
      new Option('--operator <address>', 'unix:/path or host:port, several with commas in between')
        .env('WEIR_OPERATOR')
        .default('unix:/run/weir/operator.sock')
        .argParser(checkedFlag((text) => (text.split(',').forEach(parseRpcAddress), text))),
    )
    .option('--tls-ca <file>', 'over TCP: authority of all services')
    .option('--tls-cert <file>', 'certificate to show')
    .option('--tls-key <file>', 'key of that')
    .addOption(outputOption())
    .action(async (flags: StatusFlags) => {
      const status = await askStatus(flags);
      print(flags.output, status, () => statusText(status));
      if (status.role === 'away' || status.reason !== '') process.exitCode = 1;
    });
}
