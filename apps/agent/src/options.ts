// SPDX-License-Identifier: Apache-2.0
import { hostname } from 'node:os';
import { WeirError } from '@weir/errors';
import {
  type KubernetesAccessOptions,
  kubernetesAccessFromFlags,
  kubernetesFlags,
  type KubernetesFlags,
} from '@weir/kubernetes';
import { maglevTableSizeDefault, maglevTableSizes } from '@weir/loadbalancer';
import {
  type Cidr,
  createIdentityLabelFilter,
  type FlowAggregation,
  flowAggregations,
  isIpv4Cidr,
  parseCidr,
  parseLabelSet,
} from '@weir/model';
import { type FlowContext, flowLogFlags, type FlowLogFlags, flowLogFromFlags, flowMetricsFlags } from '@weir/observer';
import { parseRpcAddress, parseTcpAddress } from '@weir/rpc';
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
import type { CniInstallOptions } from './cni/cni-install.ts';
import { type CniInstallFlags, cniInstallFlags, cniInstallFromFlags } from './cni/cni-install-flags.ts';
import { createAddressPool } from './ipam/address-pool.ts';
import type { PortRange } from './masquerade/masquerade.ts';
import packageJson from '../package.json' with { type: 'json' };

/** What `--version` prints and status reports. */
export const { version } = packageJson;

/** What the command line says, checked. */
export interface AgentOptions {
  readonly nodeName: string;
  readonly runDir: string;
  readonly stateDir: string;
  readonly bpfRoot: string;
  readonly bpfObject: string | undefined;
  /** What makes the container runtime use this agent; undefined: somebody else does. */
  readonly cniInstall: CniInstallOptions | undefined;
  readonly cgroup: string | undefined;
  readonly identityAllocator: string;
  /** For allocators over TCP. */
  readonly tls: TlsFilePaths | undefined;
  /** Whom to ask for the pod ranges; undefined: they are those of the command line. */
  readonly operator: string | undefined;
  /** Whose pods, policies and services are connected, policed and balanced; undefined: those that the agent is told of. */
  readonly kubernetes: KubernetesAccessOptions | undefined;
  /** Whether the command line has the ranges, and not somebody else. */
  readonly arePodRangesGiven: boolean;
  readonly ipv4Range: Cidr;
  readonly ipv6Range: Cidr;
  readonly devices: readonly string[] | undefined;
  readonly mtu: number | undefined;
  readonly routing: 'direct' | 'overlay';
  readonly masquerade: 'on' | 'off';
  readonly masqueradePorts: PortRange;
  readonly masqueradeExclude: readonly Cidr[];
  readonly masqueradeMax: number;
  readonly enablePolicy: 'default' | 'always' | 'never';
  readonly policyAuditMode: boolean;
  /** The same for policies for this node alone. */
  readonly nodeAuditMode: boolean;
  readonly allowLocalhost: 'auto' | 'always' | 'policy';
  readonly labels: string;
  /** Of this node: `key=value`. */
  readonly nodeLabels: readonly string[];
  readonly conntrackMax: number;
  readonly policyMax: number;
  /** Entries of a Maglev table. */
  readonly maglevTableSize: number;
  readonly observerListen: readonly string[];
  readonly observerPlaintext: 'loopback' | 'anywhere';
  readonly observerFlows: number;
  /** How much is reported of running connections where an endpoint has nothing else. */
  readonly flowAggregation: FlowAggregation;
  /** Events that each CPU may report in about a second. */
  readonly flowEventsMax: number;
  readonly flowMetrics: readonly string[];
  readonly flowMetricsContext: readonly FlowContext[];
  /** Where flows are written to; undefined: nowhere. */
  readonly flowLog: ReturnType<typeof flowLogFromFlags>;
  /** Where metrics are served; undefined: nowhere. */
  readonly metrics: { readonly host: string; readonly port: number } | undefined;
  readonly logLevel: LogLevel;
}

interface Flags
  extends
    Omit<
      AgentOptions,
      | 'identityAllocator'
      | 'tls'
      | 'nodeName'
      | 'devices'
      | 'mtu'
      | 'bpfObject'
      | 'cniInstall'
      | 'cgroup'
      | 'metrics'
      | 'flowLog'
      | 'operator'
      | 'kubernetes'
      | 'arePodRangesGiven'
      | 'ipv4Range'
      | 'ipv6Range'
    >,
    TlsFlags,
    CniInstallFlags,
    FlowLogFlags,
    KubernetesFlags {
  readonly nodeName?: string;
  readonly identityAllocator?: string;
  readonly operator?: string;
  readonly ipv4Range?: Cidr;
  readonly ipv6Range?: Cidr;
  readonly devices?: readonly string[];
  readonly mtu?: number;
  readonly bpfObject?: string;
  readonly cgroup?: string;
  readonly metrics?: { readonly host: string; readonly port: number };
}

// Outside of what the kernel gives to sockets (32768-60999) and Kubernetes to node ports (30000-32767).
const masqueradePortsDefault = '10240-29999';

const invalid = (message: string): WeirError => new WeirError('INVALID_ARGUMENT', message);

const numberFlag = (
  flag: string,
  text: string,
  range: { readonly min: number; readonly max: number; readonly default?: number },
): Option => {
  const option = new Option(`${flag} <number>`, text).argParser(
    checkedFlag((given) => {
      const number = Number(given);
      if (/^\d+$/.test(given) && number >= range.min && number <= range.max) return number;
      throw invalid(`"${given}" is not a number from ${range.min} to ${range.max}`);
    }),
  );
  return range.default === undefined ? option : option.default(range.default);
};

const maglevTableSizeFlag = (): Option =>
  new Option(
    '--maglev-table-size <prime>',
    'entries of the table of a service that chooses by Maglev; alike on all nodes',
  )
    .default(maglevTableSizeDefault)
    .argParser(
      checkedFlag((text) => {
        const size = maglevTableSizes.find((each) => String(each) === text);
        if (size === undefined) throw invalid(`"${text}" is not one of ${maglevTableSizes.join(', ')}`);
        return size;
      }),
    );

const defaultRanges = { ipv4: '10.244.0.0/24', ipv6: 'fd00:10:244::/64' } as const;

const rangeFlag = (flag: string, family: 'IPv4' | 'IPv6', initial: string): Option =>
  new Option(
    `${flag} <prefix>`,
    `${family} range that pods of this node get their addresses from (default: ${initial}, without --operator and Kubernetes)`,
  ).argParser(
    checkedFlag((text) => {
      const cidr = parseCidr(text);
      if (isIpv4Cidr(cidr) !== (family === 'IPv4')) throw invalid(`"${text}" is not an ${family} prefix`);
      createAddressPool(cidr);
      return cidr;
    }),
  );

const addAddress = (text: string, before: readonly string[] = []): readonly string[] => {
  parseRpcAddress(text);
  return [...before, text];
};

/** Labels of Kubernetes, which have no source. */
function readNodeLabels(text: string): readonly string[] {
  const labels = text.split(',');
  parseLabelSet(labels.map((label) => `k8s:${label}`));
  return labels;
}

/** Where packets come in, and how they get to other nodes. */
const networkFlags = (): readonly Option[] => [
  new Option('--devices <names>', 'uplinks, separated by commas (default: those with a default route)').argParser(
    checkedFlag((text) => {
      const names = text.split(',');
      if (names.every((name) => /^[^\s/]{1,15}$/.test(name))) return names;
      throw invalid(`"${text}" is not a list of device names`);
    }),
  ),
  choiceFlag('--routing <mode>', 'how packets reach pods of other nodes: by routes, or in VXLAN (UDP port 8472)', [
    'direct',
    'overlay',
  ]),
  numberFlag('--mtu', 'MTU of pods in bytes (default: that of the uplink, less 50 or 70 for VXLAN)', {
    min: 1280,
    max: 65_535,
  }),
];

const parsePorts = (text: string): PortRange => {
  const [, first, last] = /^(\d{1,5})-(\d{1,5})$/.exec(text) ?? [];
  const range = { first: Number(first), last: Number(last) };
  if (range.first >= 1024 && range.first <= range.last && range.last <= 65_535) return range;
  throw invalid(`"${text}" is not a range of ports from 1024 to 65535, like ${masqueradePortsDefault}`);
};

const parseCidrs = (text: string): Cidr[] => text.split(',').map((each) => parseCidr(each));

/** In whose name pods speak to the outside. */
const masqueradeFlags = (): readonly Option[] => [
  choiceFlag('--masquerade <mode>', 'whether what pods send out of the cluster gets the address of this node', [
    'on',
    'off',
  ]),
  new Option('--masquerade-ports <first-last>', 'ports of this node that flows of pods are given')
    .default(parsePorts(masqueradePortsDefault), masqueradePortsDefault)
    .argParser(checkedFlag(parsePorts)),
  new Option('--masquerade-exclude <prefixes>', 'where pods keep their addresses all the same, separated by commas')
    .default([], 'none')
    .argParser(checkedFlag(parseCidrs)),
  numberFlag('--masquerade-max', 'flows of pods out of the cluster', {
    ...{ min: 1_024, max: 16_777_216, default: 65_536 },
  }),
];

/** Whom policy holds for, and how much there may be. */
const policyFlags = (): readonly Option[] => [
  choiceFlag('--enable-policy <mode>', 'whom policies hold for: those they select, everybody, or nobody', [
    'default',
    'always',
    'never',
  ]),
  new Option('--policy-audit-mode', 'let through what policy denies, and report it as audited').default(false),
  new Option('--node-audit-mode', 'the same for policies for this node only, not for its pods').default(false),
  choiceFlag('--allow-localhost <mode>', 'whether this host may always reach its pods; auto: only under Kubernetes', [
    'auto',
    'always',
    'policy',
  ]),
  new Option('--labels <filter>', 'labels that make an identity: [source:][!]regex, separated by spaces')
    .default('')
    .argParser(checkedFlag((text) => (createIdentityLabelFilter(text), text))),
  new Option('--node-labels <labels>', 'labels that policies select this node by: key=value, separated by commas')
    .default([], 'none')
    .argParser(checkedFlag(readNodeLabels)),
  numberFlag('--conntrack-max', 'flows that are remembered', { min: 1_024, max: 16_777_216, default: 131_072 }),
  numberFlag('--policy-max', 'policy entries of all identities', { min: 1_024, max: 16_777_216, default: 262_144 }),
  maglevTableSizeFlag(),
  new Option('--log-level <level>', 'what is logged').choices(logLevels).default('info'),
];

function metricsFrom({ metrics, flowMetrics }: Pick<Flags, 'metrics' | 'flowMetrics'>): AgentOptions['metrics'] {
  if (flowMetrics.length === 0 || metrics !== undefined) return metrics;
  throw invalid('--flow-metrics needs --metrics, where they are served');
}

/** Where flows and metrics are served, and how many flows are kept. */
const observerFlags = (): readonly Option[] => [
  new Option(
    '--observer-listen <address>',
    'host:port on which flows are served beside unix:<run-dir>/hubble.sock; repeatable',
  )
    .default([], 'none')
    .argParser(checkedFlag(addAddress)),
  choiceFlag('--observer-plaintext <where>', 'where flows may be served in clear text over TCP', [
    'loopback',
    'anywhere',
  ]),
  numberFlag('--observer-flows', 'flows that are kept', { min: 1_024, max: 65_536, default: 4_096 }),
  new Option('--flow-aggregation <level>', 'what running connections are reported by: none of it is every packet')
    .choices(flowAggregations)
    .default('medium'),
  numberFlag('--flow-events-max', 'events that each CPU reports a second; more are counted as lost', {
    ...{ min: 1, max: 1_000_000, default: 1_000 },
  }),
  ...flowMetricsFlags(),
  ...flowLogFlags(),
  new Option('--metrics <address>', 'host:port for Prometheus (/metrics) and probes (/healthz)').argParser(
    checkedFlag(parseTcpAddress),
  ),
];

function createCommand(): Command {
  const command = addTlsFlags(new Command('agent'))
    .description('Connects and polices the pods of one node.')
    .version(version)
    .option('--node-name <name>', 'name of this node (default: the host name)')
    .option('--run-dir <directory>', 'directory of sockets', '/run/weir')
    .option('--state-dir <directory>', 'directory of lasting state', '/var/lib/weir')
    .option(
      '--bpf-root <directory>',
      'where maps, programs and links are pinned, on a BPF file system',
      '/sys/fs/bpf/weir',
    )
    .option('--bpf-object <file>', 'compiled programs (default: bpf/weir.bpf.o beside this program)')
    .option('--cgroup <directory>', 'whose sockets are balanced (default: the root of cgroups of version 2, so all)')
    .addOption(
      new Option(
        '--identity-allocator <address>',
        'unix:/path or host:port; several with commas in between (default: unix:<run-dir>/identity.sock)',
      ).argParser(checkedFlag((text) => (text.split(',').forEach(parseRpcAddress), text))),
    )
    .addOption(
      new Option(
        '--operator <address>',
        'unix:/path or host:port of who hands out pod ranges, several with commas in between; unless ranges are given',
      ).argParser(checkedFlag((text) => (text.split(',').forEach(parseRpcAddress), text))),
    )
    .addOption(rangeFlag('--ipv4-range', 'IPv4', defaultRanges.ipv4))
    .addOption(rangeFlag('--ipv6-range', 'IPv6', defaultRanges.ipv6));
  const kubernetes = [...kubernetesFlags(), ...cniInstallFlags()];
  const flags = [...kubernetes, ...networkFlags(), ...masqueradeFlags(), ...policyFlags(), ...observerFlags()];
  return flags.reduce((all, flag) => all.addOption(flag), command);
}

const nodeNamePattern = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;

/** Ranges that are given count; with an operator they need not be. */
function rangesFrom({ operator, ipv4Range, ipv6Range }: Pick<Flags, 'operator' | 'ipv4Range' | 'ipv6Range'>) {
  const isGiven = ipv4Range !== undefined && ipv6Range !== undefined;
  if (operator !== undefined && !isGiven && (ipv4Range ?? ipv6Range) !== undefined) {
    throw invalid('--operator gives both pod ranges, expected --ipv4-range and --ipv6-range or neither');
  }
  return {
    operator: isGiven ? undefined : operator,
    arePodRangesGiven: isGiven,
    ipv4Range: ipv4Range ?? parseCidr(defaultRanges.ipv4),
    ipv6Range: ipv6Range ?? parseCidr(defaultRanges.ipv6),
  };
}

function fromFlags({ tlsCa, tlsCert, tlsKey, k8sApi, kubeconfig, ...others }: Flags): AgentOptions {
  const { flowLog, flowLogAllow, flowLogDeny, flowLogSize, flowLogFiles, ...unlogged } = others;
  const { cniBinDir, cniConfDir, cniChain, cniTemporary, ...flags } = unlogged;
  const cniDirs = { ...(cniBinDir && { cniBinDir }), ...(cniConfDir && { cniConfDir }) };
  const flowFilters = { ...(flowLogAllow && { flowLogAllow }), ...(flowLogDeny && { flowLogDeny }) };
  const nodeName = flags.nodeName ?? hostname().toLowerCase();
  if (!nodeNamePattern.test(nodeName)) {
    throw invalid(`--node-name "${nodeName}" is not a node name (lower-case letters, digits, "-" and ".")`);
  }
  return {
    ...flags,
    nodeName,
    ...rangesFrom(flags),
    kubernetes: kubernetesAccessFromFlags({ ...(k8sApi && { k8sApi }), ...(kubeconfig && { kubeconfig }) }),
    identityAllocator: flags.identityAllocator ?? `unix:${flags.runDir}/identity.sock`,
    tls: tlsFromFlags({ ...(tlsCa && { tlsCa }), ...(tlsCert && { tlsCert }), ...(tlsKey && { tlsKey }) }),
    devices: flags.devices,
    mtu: flags.mtu,
    bpfObject: flags.bpfObject,
    cniInstall: cniInstallFromFlags({ ...cniDirs, cniChain, cniTemporary }),
    cgroup: flags.cgroup,
    metrics: metricsFrom(flags),
    flowLog: flowLogFromFlags({ ...(flowLog && { flowLog }), ...flowFilters, flowLogSize, flowLogFiles }),
  };
}

/** Reads the command line, without the program's own name. Never throws for what a user wrote. */
export function parseCommandLine(args: readonly string[]): CommandLine<AgentOptions> {
  return readCommandLine<Flags, AgentOptions>(createCommand(), { args, fromFlags });
}
