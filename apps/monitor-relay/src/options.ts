// SPDX-License-Identifier: Apache-2.0
import { hostname } from 'node:os';
import { WeirError } from '@weir/errors';
import { type FlowContext, flowMetricsFlags } from '@weir/observer';
import { parseRpcAddress, parseTcpAddress } from '@weir/rpc';
import {
  addTlsFlags,
  checkedFlag,
  choiceFlag,
  type CommandLine,
  readCommandLine,
  type TlsFilePaths,
  type TlsFlags,
  tlsFromFlags,
} from '@weir/service';
import { type LogLevel, logLevels } from '@weir/telemetry';
import { Command, Option } from 'commander';
import { type ExportFlags, exportFlags, exportFromFlags } from './export/export-flags.ts';
import type { ExportOptions } from './export/flow-exporter.ts';
import { type PageFlags, pageFlags, pageFromFlags, type PageOptions } from './page/page-flags.ts';
import packageJson from '../package.json' with { type: 'json' };

/** What `--version` prints and the status reports. */
export const { version } = packageJson;

/** What the command line says, checked. */
export interface RelayOptions {
  readonly nodeName: string;
  readonly peerService: string;
  readonly listen: readonly string[];
  readonly plaintext: 'loopback' | 'anywhere';
  /** Of everything over TCP; undefined: in clear text. */
  readonly tls: TlsFilePaths | undefined;
  /** What the certificate of the peer service carries, if that is asked over TCP. */
  readonly peerServerName: string | undefined;
  /** Where metrics are served; undefined: nowhere. */
  readonly metrics: HostPort | undefined;
  readonly flowMetrics: readonly string[];
  readonly flowMetricsContext: readonly FlowContext[];
  /** What is exported, and where to; undefined: nothing. */
  readonly export: ExportOptions | undefined;
  /** Where the page is served, and to whom; undefined: nowhere. */
  readonly page: PageOptions | undefined;
  readonly logLevel: LogLevel;
}

interface HostPort {
  readonly host: string;
  readonly port: number;
}

interface Flags
  extends
    Omit<RelayOptions, 'nodeName' | 'tls' | 'peerServerName' | 'metrics' | 'export' | 'page'>,
    TlsFlags,
    ExportFlags,
    PageFlags {
  readonly nodeName?: string;
  readonly peerServerName?: string;
  readonly metrics?: HostPort;
}

const address = checkedFlag((text) => (parseRpcAddress(text), text));
const listenDefault = ['127.0.0.1:4245'];

const addAddress = (text: string, before: readonly string[] | undefined): readonly string[] => {
  parseRpcAddress(text);
  return [...(before === undefined || before === listenDefault ? [] : before), text];
};

function createCommand(): Command {
  const command = addTlsFlags(new Command('monitor-relay'))
    .description('Merges the flows of many nodes into one stream, and serves it as Hubble’s relay.')
    .version(version)
    .option('--node-name <name>', 'name of the relay in what it says itself (default: the host name)')
    .addOption(
      new Option('--peer-service <address>', 'node that tells of the others: unix:/path or host:port')
        .default('unix:/run/weir/hubble.sock')
        .argParser(address),
    )
    .option('--peer-server-name <name>', 'name in the certificate of that node: NAME.node.weir; for TLS over TCP')
    .addOption(
      new Option('--listen <address>', 'unix:/path or host:port; repeatable')
        .default(listenDefault, listenDefault[0])
        .argParser(checkedFlag(addAddress)),
    )
    .addOption(
      choiceFlag('--plaintext <where>', 'where flows may be served in clear text over TCP', ['loopback', 'anywhere']),
    )
    .addOption(
      new Option('--metrics <address>', 'host:port for Prometheus (/metrics) and probes (/healthz)').argParser(
        checkedFlag(parseTcpAddress),
      ),
    )
    .addOption(new Option('--log-level <level>', 'what is logged').choices(logLevels).default('info'));
  return [...pageFlags(), ...flowMetricsFlags(), ...exportFlags()].reduce((all, flag) => all.addOption(flag), command);
}

function fromFlags(flags: Flags): RelayOptions {
  const { tlsCa, tlsCert, tlsKey, peerService, peerServerName, nodeName = hostname().toLowerCase() } = flags;
  const tls = tlsFromFlags({ ...(tlsCa && { tlsCa }), ...(tlsCert && { tlsCert }), ...(tlsKey && { tlsKey }) });
  if (tls !== undefined && parseRpcAddress(peerService).kind === 'tcp' && peerServerName === undefined) {
    throw new WeirError('INVALID_ARGUMENT', `--peer-service "${peerService}" needs --peer-server-name for TLS`);
  }
  if (flags.flowMetrics.length > 0 && flags.metrics === undefined) {
    throw new WeirError('INVALID_ARGUMENT', '--flow-metrics needs --metrics, where they are served');
  }
  const { listen, plaintext, metrics, flowMetrics, flowMetricsContext, logLevel } = flags;
  return {
    ...{ nodeName, peerService, peerServerName, listen, plaintext, tls, logLevel },
    ...{ metrics, flowMetrics, flowMetricsContext, export: exportFromFlags(flags) },
    page: pageFromFlags(flags),
  };
}

/** Reads the command line, without the program's own name. Never throws for what a user wrote. */
export function parseCommandLine(args: readonly string[]): CommandLine<RelayOptions> {
  return readCommandLine<Flags, RelayOptions>(createCommand(), { args, fromFlags });
}
