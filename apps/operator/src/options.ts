// SPDX-License-Identifier: Apache-2.0
import { hostname } from 'node:os';
import { formatDurationMs, parseDurationMs } from '@weir/clock';
import { WeirError } from '@weir/errors';
import { type Cidr, defaultClusterName, isIpv4Cidr, parseCidr } from '@weir/model';
import {
  kubernetesAccessFromFlags,
  type KubernetesAccessOptions,
  type KubernetesFlags,
  kubernetesFlags,
} from '@weir/kubernetes';
import { parseRpcAddress } from '@weir/rpc';
import {
  addTlsFlags,
  checkedFlag,
  choiceFlag,
  type CommandLine,
  readCommandLine,
  tlsFromFlags,
  type TlsFilePaths,
  type TlsFlags,
} from '@weir/service';
import { type LogLevel, logLevels } from '@weir/telemetry';
import { Command, Option } from 'commander';
import packageJson from '../package.json' with { type: 'json' };
import { createPodRangePool } from './ranges/pod-range-pool.ts';
import type { ClusterPools } from './ranges/range-table.ts';

/** What `--version` prints and status reports. */
export const { version } = packageJson;

/** Where ranges and leadership are written down. */
export type StoreOptions =
  | { readonly kind: 'file'; readonly path: string }
  | {
      readonly kind: 'consul' | 'etcd';
      /** `host:port` each. */
      readonly endpoints: readonly string[];
      readonly tokenFile: string | undefined;
    };

/** What is to be done in Kubernetes. */
export interface KubernetesOptions {
  readonly access: KubernetesAccessOptions;
  /** Where Weir's own pods are. */
  readonly namespace: string;
  /** Labels of the agents' pods. */
  readonly agentSelector: string;
  readonly clusterName: string;
  /** Who gives nodes their ranges. */
  readonly podRanges: 'kubernetes' | 'pools';
}

/** What the command line says, checked. */
export interface OperatorOptions {
  readonly name: string;
  readonly listen: readonly string[];
  readonly plaintext: 'loopback' | 'anywhere';
  /** Of everything over TCP; undefined: in clear text. */
  readonly tls: TlsFilePaths | undefined;
  /** Where metrics and status are served; undefined: nowhere. */
  readonly metrics: { readonly host: string; readonly port: number } | undefined;
  readonly identityAllocator: string;
  /** Undefined: without Kubernetes. */
  readonly kubernetes: KubernetesOptions | undefined;
  readonly store: StoreOptions;
  readonly storePrefix: string;
  readonly pools: ClusterPools;
  readonly graceMs: number;
  readonly leaderLeaseMs: number;
  readonly gcIntervalMs: number;
  readonly logLevel: LogLevel;
}

interface Flags extends TlsFlags, KubernetesFlags {
  readonly name?: string;
  readonly listen?: readonly string[];
  readonly allowPlaintext: boolean;
  readonly metrics?: { readonly host: string; readonly port: number };
  readonly identityAllocator?: string;
  readonly k8sNamespace: string;
  readonly agentSelector: string;
  readonly clusterName: string;
  readonly podRanges: KubernetesOptions['podRanges'];
  readonly store: StoreOptions['kind'];
  readonly storePath?: string;
  readonly storeEndpoint?: readonly string[];
  readonly storePrefix: string;
  readonly consulTokenFile?: string;
  readonly ipv4Pool: Cidr;
  readonly ipv4NodePrefix: number;
  readonly ipv6Pool: Cidr;
  readonly ipv6NodePrefix: number;
  readonly nodeGrace: number;
  readonly leaderLease: number;
  readonly gcInterval: number;
  readonly runDir: string;
  readonly stateDir: string;
  readonly logLevel: LogLevel;
}

const minute = 60_000;
const day = 24 * 60 * minute;
const invalid = (message: string): WeirError => new WeirError('INVALID_ARGUMENT', message);

function parseTcpAddress(text: string): { readonly host: string; readonly port: number } {
  const address = parseRpcAddress(text);
  if (address.kind === 'tcp') return { host: address.host, port: address.port };
  throw invalid(`Address "${text}" is a unix socket, expected "host:port"`);
}

const duration = (flag: string, text: string, range: { min: number; max: number; default: number }): Option =>
  new Option(`${flag} <duration>`, text).default(range.default, formatDurationMs(range.default)).argParser(
    checkedFlag((given) => {
      const durationMs = parseDurationMs(given);
      if (durationMs >= range.min && durationMs <= range.max) return durationMs;
      const expected = `${formatDurationMs(range.min)}–${formatDurationMs(range.max)}`;
      throw invalid(`"${given}" is out of range, expected ${expected}`);
    }),
  );

const poolFlag = (flag: string, family: 'IPv4' | 'IPv6', initial: string): Option =>
  new Option(`${flag} <prefix>`, `${family} range that the nodes' pod ranges are cut out of`)
    .default(parseCidr(initial), initial)
    .argParser(
      checkedFlag((text) => {
        const cidr = parseCidr(text);
        if (isIpv4Cidr(cidr) !== (family === 'IPv4')) throw invalid(`"${text}" is not an ${family} prefix`);
        return cidr;
      }),
    );

const lengthFlag = (flag: string, text: string, initial: number): Option =>
  new Option(`${flag} <bits>`, text).default(initial).argParser(
    checkedFlag((given) => {
      if (/^\d{1,3}$/.test(given) && Number(given) <= 128) return Number(given);
      throw invalid(`"${given}" is not a prefix length`);
    }),
  );

const repeated = <Value>(check: (text: string) => Value) =>
  checkedFlag<readonly string[]>((text, before = []) => (check(text), [...before, text]));

function serverFlags(): readonly Option[] {
  return [
    new Option('--name <name>', 'of this operator among several (default: the host name)'),
    new Option(
      '--listen <address>',
      'unix:/path or host:port; repeatable (default: unix:<run-dir>/operator.sock)',
    ).argParser(repeated(parseRpcAddress)),
    new Option('--metrics <address>', 'host:port for /metrics, /status and /healthz over HTTP').argParser(
      checkedFlag(parseTcpAddress),
    ),
    new Option('--allow-plaintext', 'listen unencrypted on addresses that other machines reach').default(false),
    new Option(
      '--identity-allocator <address>',
      'unix:/path or host:port; several with commas in between (default: unix:<run-dir>/identity.sock)',
    ).argParser(checkedFlag((text) => (text.split(',').forEach(parseRpcAddress), text))),
  ];
}

const clusterFlags = (): readonly Option[] => [
  ...kubernetesFlags(),
  new Option('--k8s-namespace <name>', "namespace of Weir's own pods and of the leader's Lease").default('kube-system'),
  new Option('--agent-selector <labels>', "what the agents' pods are selected by").default(
    'app.kubernetes.io/name=weir-agent',
  ),
  new Option('--cluster-name <name>', 'of this cluster, in the labels of its pods').default(defaultClusterName),
  choiceFlag('--pod-ranges <source>', 'in Kubernetes, who gives nodes their ranges', ['pools', 'kubernetes']),
];

const storeFlags = (): readonly Option[] => [
  choiceFlag('--store <backend>', 'where ranges and leadership are written down', ['file', 'consul', 'etcd']),
  new Option('--store-path <file>', 'the file (default: <state-dir>/operator.db)'),
  new Option('--store-endpoint <address>', 'host:port of Consul or etcd; repeatable').argParser(
    repeated(parseTcpAddress),
  ),
  new Option('--store-prefix <prefix>', 'what the keys begin with').default('weir/operator'),
  new Option('--consul-token-file <file>', 'file with the ACL token for Consul'),
];

const rangeFlags = (): readonly Option[] => [
  poolFlag('--ipv4-pool', 'IPv4', '10.244.0.0/16'),
  lengthFlag('--ipv4-node-prefix', "length of a node's IPv4 range", 24),
  poolFlag('--ipv6-pool', 'IPv6', 'fd00:10:244::/48'),
  lengthFlag('--ipv6-node-prefix', "length of a node's IPv6 range", 64),
  duration('--node-grace', 'how long a node may be gone before its ranges go to others', {
    ...{ min: 1_000, max: 30 * day, default: 15 * minute },
  }),
  duration('--leader-lease', 'how long a silent operator leads', { min: 500, max: minute, default: 5_000 }),
  duration('--gc-interval', 'time between garbage collections of identities', { min: 100, max: day, default: minute }),
];

function createCommand(): Command {
  const command = addTlsFlags(new Command('operator'))
    .description('Does what a cluster needs once: pod ranges for nodes, garbage collection of identities.')
    .version(version);
  [...serverFlags(), ...clusterFlags(), ...storeFlags(), ...rangeFlags()].forEach((flag) => command.addOption(flag));
  return command
    .option('--run-dir <directory>', 'directory of sockets', '/run/weir')
    .option('--state-dir <directory>', 'directory of lasting state', '/var/lib/weir')
    .addOption(new Option('--log-level <level>', 'what is logged').choices(logLevels).default('info'));
}

function kubernetesFrom(flags: Flags): KubernetesOptions | undefined {
  const access = kubernetesAccessFromFlags(flags);
  const { k8sNamespace: namespace, agentSelector, clusterName, podRanges } = flags;
  if (access !== undefined) return { access, namespace, agentSelector, clusterName, podRanges };
  if (podRanges === 'pools') return undefined;
  throw invalid('--pod-ranges kubernetes needs --k8s-api or --kubeconfig');
}

function storeFrom(flags: Flags): StoreOptions {
  const { store: kind, storePath, storeEndpoint: endpoints, consulTokenFile: tokenFile } = flags;
  if (kind === 'file') return { kind, path: storePath ?? `${flags.stateDir}/operator.db` };
  if (endpoints === undefined) throw invalid(`--store ${kind} needs at least one --store-endpoint`);
  return { kind, endpoints, tokenFile };
}

const namePattern = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$/;

function fromFlags(flags: Flags): OperatorOptions {
  const { name = hostname(), runDir, storePrefix, logLevel } = flags;
  if (!namePattern.test(name)) throw invalid(`--name "${name}" is not a name (letters, digits, "-", "." and "_")`);
  return {
    ...{ name, storePrefix, logLevel },
    listen: flags.listen ?? [`unix:${runDir}/operator.sock`],
    plaintext: flags.allowPlaintext ? 'anywhere' : 'loopback',
    tls: tlsFromFlags(flags),
    metrics: flags.metrics,
    identityAllocator: flags.identityAllocator ?? `unix:${runDir}/identity.sock`,
    kubernetes: kubernetesFrom(flags),
    store: storeFrom(flags),
    pools: {
      ipv4: createPodRangePool(flags.ipv4Pool, flags.ipv4NodePrefix),
      ipv6: createPodRangePool(flags.ipv6Pool, flags.ipv6NodePrefix),
    },
    ...{ graceMs: flags.nodeGrace, leaderLeaseMs: flags.leaderLease, gcIntervalMs: flags.gcInterval },
  };
}

/** Reads the command line, without the program's own name. Never throws for what a user wrote. */
export function parseCommandLine(args: readonly string[]): CommandLine<OperatorOptions> {
  return readCommandLine<Flags, OperatorOptions>(createCommand(), { args, fromFlags });
}
