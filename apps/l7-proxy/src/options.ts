// SPDX-License-Identifier: Apache-2.0
import { hostname } from 'node:os';
import { formatDurationMs, parseDurationMs } from '@weir/clock';
import { WeirError } from '@weir/errors';
import { parseRpcAddress } from '@weir/rpc';
import { logLevels, type LogLevel } from '@weir/telemetry';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import packageJson from '../package.json' with { type: 'json' };
import { formatByteCount, parseByteCount } from './byte-count.ts';
import type { ConnectionLimits } from './exchange/services.ts';

/** What `--version` prints. */
export const { version } = packageJson;

/** What the command line says, checked. */
export interface ProxyOptions {
  readonly nodeName: string;
  readonly logLevel: LogLevel;
  readonly bpfRoot: string;
  /** `unix:/absolute/path` or `host:port`; undefined only with `staticFile`. */
  readonly agent: string | undefined;
  readonly ruleSetPath: string;
  /** 0: any that is free. */
  readonly port: number;
  readonly limits: ConnectionLimits;
  readonly connectionsMax: number;
  readonly accessLogBytesMax: number;
  readonly shutdownTimeoutMs: number;
  readonly upgradeProtocols: ReadonlySet<string>;
  /** Runs without the datapath, as this file says. */
  readonly staticFile: string | undefined;
}

/** What to do: run, or print something and leave. Status 0 for help and version, 2 for a mistake on the command line. */
export type CommandLine =
  | { readonly kind: 'run'; readonly options: ProxyOptions }
  | { readonly kind: 'exit'; readonly status: 0 | 2; readonly output: string };

interface Flags {
  readonly nodeName?: string;
  readonly logLevel: LogLevel;
  readonly runDir: string;
  readonly stateDir: string;
  readonly bpfRoot: string;
  readonly agent?: string;
  readonly port: number;
  readonly connectionsMax: number;
  readonly headBytesMax: number;
  readonly fieldsMax: number;
  readonly drainBytesMax: number;
  readonly accessLogBytesMax: number;
  readonly headTimeout: number;
  readonly idleTimeout: number;
  readonly connectTimeout: number;
  readonly lingerTimeout: number;
  readonly shutdownTimeout: number;
  readonly upgradeProtocols: ReadonlySet<string>;
  readonly static?: string;
}

interface Range {
  readonly min: number;
  readonly max: number;
  readonly default: number;
}

const kibibyte = 1024;
const mebibyte = 1024 * kibibyte;
const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;

/** Runs a check of ours as one of commander's, which puts the flag's name in front. */
function checked<Value>(check: (text: string) => Value): (text: string) => Value {
  return (text) => {
    try {
      return check(text);
    } catch (error) {
      throw new InvalidArgumentError(WeirError.from(error).message);
    }
  };
}

interface Quantity {
  readonly placeholder: string;
  parse(text: string): number;
  format(value: number): string;
}

const durations: Quantity = { placeholder: 'duration', parse: parseDurationMs, format: formatDurationMs };
const byteCounts: Quantity = { placeholder: 'bytes', parse: parseByteCount, format: formatByteCount };
const numbers: Quantity = {
  placeholder: 'number',
  parse(text) {
    if (/^\d{1,15}$/.test(text)) return Number(text);
    throw new WeirError('INVALID_ARGUMENT', `"${text}" is not a whole number`);
  },
  format: String,
};

const inRange = (quantity: Quantity, { min, max }: Range): ((text: string) => number) =>
  checked((text) => {
    const value = quantity.parse(text);
    if (value >= min && value <= max) return value;
    const range = `${quantity.format(min)}–${quantity.format(max)}`;
    throw new WeirError('INVALID_ARGUMENT', `"${text}" is out of range, expected ${range}`);
  });

const quantityOption =
  (quantity: Quantity) =>
  (flag: string, description: string, range: Range): Option =>
    new Option(`${flag} <${quantity.placeholder}>`, description)
      .default(range.default, quantity.format(range.default))
      .argParser(inRange(quantity, range));

const duration = quantityOption(durations);
const bytes = quantityOption(byteCounts);
const number = quantityOption(numbers);

const protocolPattern = /^[a-z0-9!#$%&'*+.^_`|~-]+$/;

const parseProtocols = checked((text): ReadonlySet<string> => {
  const protocols = text === '' ? [] : text.toLowerCase().split(',');
  const bad = protocols.find((protocol) => !protocolPattern.test(protocol));
  if (bad === undefined) return new Set(protocols);
  throw new WeirError('INVALID_ARGUMENT', `"${bad}" is not a protocol name, expected names separated by commas`);
});

function createCommand(): Command {
  return new Command('l7-proxy')
    .description('Polices HTTP calls between pods: serves the connections that the datapath hands over.')
    .version(version)
    .option('--node-name <name>', "name of this machine (default: the host's name)")
    .option('--run-dir <directory>', 'directory of sockets', '/run/weir')
    .option('--state-dir <directory>', 'directory of lasting state', '/var/lib/weir')
    .option('--bpf-root <directory>', "where the datapath's maps are pinned", '/sys/fs/bpf/weir')
    .addOption(
      new Option('--agent <address>', 'unix:/path or host:port (default: unix:<run-dir>/agent.sock)').argParser(
        checked((text: string) => (parseRpcAddress(text), text)),
      ),
    )
    .addOption(
      number('--port', 'where connections are handed in; 0: any free port', { min: 0, max: 65_535, default: 0 }),
    )
    .addOption(number('--connections-max', 'connections served at once', { min: 1, max: 1_000_000, default: 20_000 }))
    .addOption(
      bytes('--head-bytes-max', 'size of a head', { min: kibibyte, max: 16 * mebibyte, default: 64 * kibibyte }),
    )
    .addOption(number('--fields-max', 'fields of a head', { min: 10, max: 10_000, default: 100 }))
    .addOption(
      bytes('--drain-bytes-max', 'body of a refused request that is read to keep its connection', {
        min: 0,
        max: 1024 * mebibyte,
        default: 64 * kibibyte,
      }),
    )
    .addOption(
      bytes('--access-log-bytes-max', 'memory for calls that wait for the agent', {
        min: 64 * kibibyte,
        max: 1024 * mebibyte,
        default: 4 * mebibyte,
      }),
    )
    .addOption(
      duration('--head-timeout', "from a request's first byte to the end of its head", {
        min: 100,
        max: 24 * hour,
        default: minute,
      }),
    )
    .addOption(
      duration('--idle-timeout', 'without a byte in either direction', { min: 100, max: 720 * hour, default: hour }),
    )
    .addOption(
      duration('--connect-timeout', 'for a server to accept', { min: 10, max: 10 * minute, default: 5 * second }),
    )
    .addOption(
      duration('--linger-timeout', 'for a client to read the last answer', { min: 10, max: minute, default: second }),
    )
    .addOption(
      duration('--shutdown-timeout', 'for running exchanges to end after SIGTERM', {
        min: 0,
        max: hour,
        default: 10 * second,
      }),
    )
    .addOption(
      new Option('--upgrade-protocols <names>', 'what a connection may be upgraded to, after an allowed request')
        .default(new Set(['websocket']), 'websocket')
        .argParser(parseProtocols),
    )
    .option('--static <file>', 'for tests: ordinary sockets and fixed rules from this JSON file, no datapath')
    .addOption(new Option('--log-level <level>', 'what is logged').choices(logLevels).default('info'))
    .allowExcessArguments(false)
    .exitOverride();
}

function fromFlags(flags: Flags): ProxyOptions {
  const agentDefault = flags.static === undefined ? `unix:${flags.runDir}/agent.sock` : undefined;
  return {
    nodeName: flags.nodeName ?? hostname(),
    logLevel: flags.logLevel,
    bpfRoot: flags.bpfRoot,
    agent: flags.agent ?? agentDefault,
    ruleSetPath: `${flags.stateDir}/l7-proxy/rule-sets.json`,
    port: flags.port,
    limits: {
      headBytesMax: flags.headBytesMax,
      fieldsMax: flags.fieldsMax,
      drainBytesMax: flags.drainBytesMax,
      headTimeoutMs: flags.headTimeout,
      idleTimeoutMs: flags.idleTimeout,
      connectTimeoutMs: flags.connectTimeout,
      lingerMs: flags.lingerTimeout,
    },
    connectionsMax: flags.connectionsMax,
    accessLogBytesMax: flags.accessLogBytesMax,
    shutdownTimeoutMs: flags.shutdownTimeout,
    upgradeProtocols: flags.upgradeProtocols,
    staticFile: flags.static,
  };
}

/** Reads the command line, without the program's own name. Never throws for what a user wrote. */
export function parseCommandLine(args: readonly string[]): CommandLine {
  const output: string[] = [];
  const command = createCommand().configureOutput({
    writeOut: (text) => void output.push(text),
    writeErr: (text) => void output.push(text),
  });
  try {
    command.parse(args, { from: 'user' });
    return { kind: 'run', options: fromFlags(command.opts<Flags>()) };
  } catch (error) {
    if (error instanceof CommanderError) {
      return { kind: 'exit', status: error.exitCode === 0 ? 0 : 2, output: output.join('') };
    }
    throw error;
  }
}
