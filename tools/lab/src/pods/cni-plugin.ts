// SPDX-License-Identifier: Apache-2.0
import { WeirError, type ErrorCode } from '@weir/errors';
import { formatProtocol, type NamedPort } from '@weir/model';
import { runCommand } from '../machine/run-command.ts';

/** One call of a CNI plugin, the way a container runtime makes it. */
export interface CniCall {
  /** The plugin's executable. */
  readonly plugin: string;
  readonly command: 'ADD' | 'DEL' | 'CHECK';
  readonly containerId: string;
  readonly netnsPath: string;
  readonly namespace: string;
  readonly pod: string;
  /** The agent's CNI socket. */
  readonly socket: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly namedPorts?: readonly NamedPort[];
  readonly prevResult?: unknown;
}

/** The addresses of an ADD, and the result as it came. */
export interface CniResult {
  readonly ipv4: string;
  readonly ipv6: string;
  readonly raw: unknown;
}

// The plugin has a limit of its own, 60 s; it is to answer for itself.
const pluginTimeoutMs = 70_000;

interface RawResult {
  readonly ips?: readonly { readonly address?: string }[];
}

// Codes of the specification and of weir-cni that mean something to a caller here; the rest are INTERNAL.
const codes: Readonly<Record<number, ErrorCode>> = {
  3: 'NOT_FOUND',
  4: 'INVALID_ARGUMENT',
  6: 'INVALID_ARGUMENT',
  7: 'INVALID_ARGUMENT',
  11: 'UNAVAILABLE',
};

/** Runs ADD, and reads the addresses out of its result. A refusal is a WeirError with the plugin's message. */
export async function cniAdd(call: Omit<CniCall, 'command'>): Promise<CniResult> {
  const raw = JSON.parse(await runCni({ ...call, command: 'ADD' })) as RawResult;
  const addresses = (raw.ips ?? []).map(({ address = '' }) => address.split('/', 1)[0] ?? '');
  return {
    ipv4: addresses.find((address) => !address.includes(':')) ?? '',
    ipv6: addresses.find((address) => address.includes(':')) ?? '',
    raw,
  };
}

/** Runs DEL. */
export async function cniDelete(call: Omit<CniCall, 'command'>): Promise<void> {
  await runCni({ ...call, command: 'DEL' });
}

/** Runs CHECK, which must be given the result of ADD. */
export async function cniCheck(call: Omit<CniCall, 'command'>): Promise<void> {
  await runCni({ ...call, command: 'CHECK' });
}

async function runCni(call: CniCall): Promise<string> {
  const labels = Object.entries(call.labels ?? {}).map(([key, value]) => ({ key, value }));
  const ports = (call.namedPorts ?? []).map(({ name, protocol, port }) => ({
    ...{ name, containerPort: port, protocol: formatProtocol(protocol) },
  }));
  const config = {
    cniVersion: '1.1.0',
    name: 'weir',
    type: 'weir-cni',
    socket: call.socket,
    args: { cni: { labels, ports } },
    ...(call.prevResult === undefined ? {} : { prevResult: call.prevResult }),
  };
  const env = {
    CNI_COMMAND: call.command,
    CNI_CONTAINERID: call.containerId,
    CNI_NETNS: call.netnsPath,
    CNI_IFNAME: 'eth0',
    CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=${call.namespace};K8S_POD_NAME=${call.pod}`,
    CNI_PATH: call.plugin.slice(0, call.plugin.lastIndexOf('/')),
  };
  const result = await runCommand([call.plugin], { env, input: JSON.stringify(config), timeoutMs: pluginTimeoutMs });
  if (result.status === 0) return result.stdout;
  throw cniError(call, result.stdout || result.stderr);
}

function cniError(call: CniCall, output: string): WeirError {
  const what = `CNI ${call.command} of pod "${call.namespace}/${call.pod}"`;
  try {
    const { code, msg, details } = JSON.parse(output) as { code: number; msg: string; details?: string };
    const message = `${what} failed with code ${code}: ${msg}${details ? ` (${details})` : ''}`;
    return new WeirError(codes[code] ?? 'INTERNAL', message, { details: { cniCode: code } });
  } catch {
    return new WeirError('INTERNAL', `${what} failed without a CNI error: ${output.trim().slice(-1000)}`);
  }
}
