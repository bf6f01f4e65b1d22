// SPDX-License-Identifier: Apache-2.0
import { formatDurationMs, parseDurationMs } from '@weir/clock';
import { WeirError } from '@weir/errors';
import { parseRpcAddress, parseTcpAddress } from '@weir/rpc';
import { addTlsFlags, tlsFromFlags, type TlsFilePaths, type TlsFlags } from '@weir/service';
import { logLevels, type LogLevel } from '@weir/telemetry';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import packageJson from '../package.json' with { type: 'json' };
import type { StoreTimes } from './store/identity-store.ts';

/** What `--version` prints. */
export const { version } = packageJson;

/** Which store, and where. */
export type StoreOptions =
  | { readonly kind: 'embedded'; readonly path: string }
  | {
      readonly kind: 'consul' | 'etcd';
      /** `host:port` each. */
      readonly endpoints: readonly string[];
      readonly prefix: string;
      readonly tokenFile: string | undefined;
    };

/** What the command line says, checked. */
export interface AllocatorOptions {
  readonly listen: readonly string[];
  readonly plaintext: 'loopback' | 'anywhere';
  /** Of everything over TCP; undefined: in clear text. */
  readonly tls: TlsFilePaths | undefined;
  /** Where metrics are served; undefined: nowhere. */
  readonly metrics: { readonly host: string; readonly port: number } | undefined;
  readonly store: StoreOptions;
  readonly times: StoreTimes;
  /** Between garbage collections; undefined: the operator asks for them. */
  readonly gcIntervalMs: number | undefined;
  readonly logLevel: LogLevel;
  readonly nodeName: string | undefined;
}

/** What to do: run, or print something and leave. Status 0 for help and version, 2 for a mistake on the command line. */
export type CommandLine =
  | { readonly kind: 'run'; readonly options: AllocatorOptions }
  | { readonly kind: 'exit'; readonly status: 0 | 2; readonly output: string };

interface Flags extends TlsFlags {
  readonly listen?: readonly string[];
  readonly allowPlaintext: boolean;
  readonly runDir: string;
  readonly stateDir: string;
  readonly metrics?: { readonly host: string; readonly port: number };
  readonly store: StoreOptions['kind'];
  readonly storePath?: string;
  readonly storeEndpoint?: readonly string[];
  readonly storePrefix: string;
  readonly consulTokenFile?: string;
  readonly lease: number;
  readonly gcGrace: number;
  readonly reuseDelay: number;
  readonly gcInterval: number;
  readonly garbageCollection: 'self' | 'operator';
  readonly logLevel: LogLevel;
  readonly nodeName?: string;
}

const minute = 60_000;
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

function durationBetween({ min, max }: { readonly min: number; readonly max: number }): (text: string) => number {
  return checked((text) => {
    const durationMs = parseDurationMs(text);
    if (durationMs >= min && durationMs <= max) return durationMs;
    const range = `${formatDurationMs(min)}–${formatDurationMs(max)}`;
    throw new WeirError('INVALID_ARGUMENT', `"${text}" is out of range, expected ${range}`);
  });
}

const duration = (flag: string, description: string, range: { min: number; max: number; default: number }): Option =>
  new Option(`${flag} <duration>`, description)
    .default(range.default, formatDurationMs(range.default))
    .argParser(durationBetween(range));

const collectAddress = (text: string, previous: readonly string[] = []): readonly string[] => [
  ...previous,
  checked(() => (parseRpcAddress(text), text))(text),
];

const collectEndpoint = (text: string, previous: readonly string[] = []): readonly string[] => [
  ...previous,
  checked(() => (parseTcpAddress(text), text))(text),
];

function createCommand(): Command {
  return addTlsFlags(new Command('identity-allocator'))
    .description('Hands out security identities: label set → number, the same on every node.')
    .version(version)
    .addOption(
      new Option(
        '--listen <address>',
        'unix:/path or host:port; repeatable (default: unix:<run-dir>/identity.sock)',
      ).argParser(collectAddress),
    )
    .addOption(
      new Option('--metrics <address>', 'host:port for Prometheus (/metrics) and probes (/healthz)').argParser(
        checked(parseTcpAddress),
      ),
    )
    .option('--allow-plaintext', 'listen unencrypted on addresses that other machines reach', false)
    .addOption(
      new Option('--store <backend>', 'where identities live')
        .choices(['embedded', 'consul', 'etcd'])
        .default('embedded'),
    )
    .option('--store-path <file>', 'database of the embedded store (default: <state-dir>/identity.db)')
    .addOption(
      new Option('--store-endpoint <address>', 'host:port of Consul or etcd; repeatable').argParser(collectEndpoint),
    )
    .option('--store-prefix <prefix>', 'what the keys in Consul or etcd begin with', 'weir/identity')
    .option('--consul-token-file <file>', 'file with the ACL token for Consul')
    .addOption(
      duration('--lease', "how long a silent node's references last", {
        min: 1_000,
        max: 24 * hour,
        default: 15 * minute,
      }),
    )
    .addOption(
      duration('--gc-interval', 'time between garbage collections', { min: 100, max: 24 * hour, default: minute }),
    )
    .addOption(
      new Option('--garbage-collection <who>', 'who begins garbage collections')
        .choices(['self', 'operator'])
        .default('self'),
    )
    .addOption(
      duration('--gc-grace', 'how long an identity stays that no node holds', {
        min: 1_000,
        max: 720 * hour,
        default: 15 * minute,
      }),
    )
    .addOption(
      duration('--reuse-delay', 'how long a number rests before it gets other labels', {
        min: 1_000,
        max: 720 * hour,
        default: hour,
      }),
    )
    .option('--run-dir <directory>', 'directory of sockets', '/run/weir')
    .option('--state-dir <directory>', 'directory of lasting state', '/var/lib/weir')
    .option('--node-name <name>', 'name of this machine, for logs')
    .addOption(new Option('--log-level <level>', 'what is logged').choices(logLevels).default('info'))
    .allowExcessArguments(false)
    .exitOverride();
}

function fromFlags(flags: Flags): AllocatorOptions {
  const times = { leaseMs: flags.lease, graceMs: flags.gcGrace, reuseDelayMs: flags.reuseDelay };
  for (const [flag, value] of [
    ['--gc-grace', times.graceMs],
    ['--reuse-delay', times.reuseDelayMs],
  ] as const) {
    // A reference that got lost on its way is taken again by the next renewal; until then its number must not go.
    if (value >= times.leaseMs) continue;
    const [found, expected] = [formatDurationMs(value), formatDurationMs(times.leaseMs)];
    throw new WeirError('INVALID_ARGUMENT', `${flag} is ${found}, expected at least the --lease of ${expected}`);
  }
  const tls = tlsFromFlags(flags);
  const listen = flags.listen ?? [`unix:${flags.runDir}/identity.sock`];
  for (const text of listen) {
    const address = parseRpcAddress(text);
    if (tls !== undefined || flags.allowPlaintext || address.kind === 'unix' || address.loopback) continue;
    const problem =
      'is reachable from other machines; expected --tls-…, a unix socket, a loopback address or --allow-plaintext';
    throw new WeirError('INVALID_ARGUMENT', `--listen "${text}" ${problem}`);
  }
  return {
    listen,
    plaintext: flags.allowPlaintext ? 'anywhere' : 'loopback',
    tls,
    metrics: flags.metrics,
    store: storeFromFlags(flags),
    times,
    gcIntervalMs: flags.garbageCollection === 'self' ? flags.gcInterval : undefined,
    logLevel: flags.logLevel,
    nodeName: flags.nodeName,
  };
}

function storeFromFlags(flags: Flags): StoreOptions {
  const { store: kind, storeEndpoint: endpoints = [], storePrefix, consulTokenFile: tokenFile } = flags;
  const refuse = (problem: string): WeirError => new WeirError('INVALID_ARGUMENT', problem);
  if (tokenFile !== undefined && kind !== 'consul') throw refuse(`--consul-token-file is given with --store ${kind}`);
  if (kind === 'embedded') {
    if (endpoints.length > 0) throw refuse('--store-endpoint is given with --store embedded, expected consul or etcd');
    return { kind, path: flags.storePath ?? `${flags.stateDir}/identity.db` };
  }
  if (flags.storePath !== undefined) throw refuse(`--store-path is given with --store ${kind}, expected embedded`);
  if (endpoints.length === 0) throw refuse(`--store ${kind} needs at least one --store-endpoint`);
  if (!/^[a-z0-9][a-z0-9/._-]{0,127}[a-z0-9]$/i.test(storePrefix)) {
    throw refuse(`--store-prefix is "${storePrefix}", expected 2–129 letters, digits, "/", ".", "_" or "-"`);
  }
  return { kind, endpoints, prefix: storePrefix, tokenFile };
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
    if (!(error instanceof WeirError)) throw error;
    return { kind: 'exit', status: 2, output: `error: ${error.message}\n` };
  }
}
