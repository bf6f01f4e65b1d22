// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { isPortName, type NamedPort, parseProtocol, portMax } from '@weir/model';
import { cniDetail } from './cni-error.ts';

/** One attachment: a container and the name of the interface in it. */
export interface Attachment {
  readonly containerId: string;
  readonly ifName: string;
}

/** A call of the CNI plugin, checked. */
export interface CniRequest extends Attachment {
  readonly command: 'ADD' | 'DEL' | 'CHECK' | 'STATUS' | 'GC';
  readonly cniVersion: string;
  /** Name of the network configuration. */
  readonly network: string;
  /** Path of the network namespace; empty where the command needs none, or DEL was not told. */
  readonly netns: string;
  readonly namespace: string;
  /** The container's id where the runtime knows of no pod. */
  readonly pod: string;
  /** Of Kubernetes; undefined where the runtime does not tell. */
  readonly podUid?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly namedPorts: readonly NamedPort[];
  readonly prevResult: unknown;
  /** GC: the attachments that are still wanted. */
  readonly validAttachments: readonly Attachment[];
}

/** Versions of the specification that are spoken, oldest first. */
export const cniVersions = ['0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const;

const labelsMax = 128;
const namedPortsMax = 64;

type Fields = Readonly<Record<string, unknown>>;

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const refuse = (field: string, value: unknown, expected: string): never => {
  throw new WeirError('INVALID_ARGUMENT', `${field}: ${JSON.stringify(value) ?? 'nothing'} is not ${expected}`);
};

function text(fields: Fields, field: string, rule: { readonly pattern: RegExp; readonly expected: string }): string {
  const value = fields[field];
  return typeof value === 'string' && rule.pattern.test(value) ? value : refuse(field, value, rule.expected);
}

/** `CNI_ARGS`: `K=V;K=V`. */
function parseArguments(given: unknown): ReadonlyMap<string, string> {
  if (given === undefined || given === '') return new Map();
  if (typeof given !== 'string') return refuse('args', given, 'text of the form KEY=VALUE;…');
  return new Map(
    given.split(';').map((pair) => {
      const equals = pair.indexOf('=');
      if (equals < 1) return refuse('args', pair, 'of the form KEY=VALUE');
      return [pair.slice(0, equals), pair.slice(equals + 1)] as const;
    }),
  );
}

/** `args.cni` of the CNI conventions. */
function conventionsOf(config: Fields): Fields {
  const args = isFields(config['args']) ? config['args'] : {};
  return isFields(args['cni']) ? args['cni'] : {};
}

/** `args.cni.labels` of the CNI conventions: `[{key, value}]`. */
function parseLabels(config: Fields): Readonly<Record<string, string>> {
  const labels = conventionsOf(config)['labels'] ?? [];
  if (!Array.isArray(labels) || labels.length > labelsMax) {
    return refuse('config.args.cni.labels', labels, `a list of at most ${labelsMax} {key, value}`);
  }
  return Object.fromEntries(
    labels.map((label: unknown, index) => {
      const field = `config.args.cni.labels[${index}]`;
      if (!isFields(label) || typeof label['key'] !== 'string') return refuse(field, label, 'a {key, value}');
      const value = label['value'] ?? '';
      return typeof value === 'string' ? [label['key'], value] : refuse(`${field}.value`, value, 'text');
    }),
  );
}

/** `args.cni.ports`, our own: `[{name, containerPort, protocol}]`, as containers have them. Without a name it is not for us. */
function parseNamedPorts(config: Fields): NamedPort[] {
  const ports = conventionsOf(config)['ports'] ?? [];
  if (!Array.isArray(ports) || ports.length > namedPortsMax) {
    return refuse('config.args.cni.ports', ports, `a list of at most ${namedPortsMax} {name, containerPort, protocol}`);
  }
  return ports.flatMap((entry: unknown, index): NamedPort[] => {
    const field = `config.args.cni.ports[${index}]`;
    if (!isFields(entry)) return refuse(field, entry, 'a {name, containerPort, protocol}');
    const { name, containerPort: port, protocol = 'TCP' } = entry;
    if (name === undefined || name === '') return [];
    if (typeof name !== 'string' || !isPortName(name)) return refuse(`${field}.name`, name, 'the name of a port');
    if (typeof port !== 'number' || !Number.isInteger(port) || port < 1 || port > portMax) {
      return refuse(`${field}.containerPort`, port, `a port (1–${portMax})`);
    }
    const isKnown = typeof protocol === 'string' && ['TCP', 'UDP', 'SCTP'].includes(protocol.toUpperCase());
    if (!isKnown) return refuse(`${field}.protocol`, protocol, 'TCP, UDP or SCTP');
    return [{ name: name.toLowerCase(), protocol: parseProtocol(protocol), port }];
  });
}

/** Without the list nothing would be wanted any more: it must be there, be it empty. */
function parseAttachments(config: Fields): Attachment[] {
  const list = config['cni.dev/valid-attachments'];
  if (!Array.isArray(list)) return refuse('config["cni.dev/valid-attachments"]', list, 'a list');
  return list.map((entry: unknown, index) => {
    const field = `config["cni.dev/valid-attachments"][${index}]`;
    if (!isFields(entry)) return refuse(field, entry, 'a {containerID, ifname}');
    const containerId = entry['containerID'];
    const ifName = entry['ifname'];
    if (typeof containerId !== 'string' || typeof ifName !== 'string') {
      return refuse(field, entry, 'a {containerID, ifname}');
    }
    return { containerId, ifName };
  });
}

/** The version of a configuration, also of one that is otherwise broken, so that an answer can name it. */
export function cniVersionOf(body: unknown): string {
  const config = isFields(body) ? body['config'] : undefined;
  const version = isFields(config) ? config['cniVersion'] : undefined;
  return typeof version === 'string' ? version : '0.3.1';
}

function parseConfig(body: Fields): Fields & { readonly cniVersion: string } {
  const config = body['config'];
  if (!isFields(config)) return refuse('config', config, 'a network configuration');
  const version = config['cniVersion'];
  const known: readonly unknown[] = cniVersions;
  if (!known.includes(version)) {
    const message = `config.cniVersion: ${JSON.stringify(version) ?? 'nothing'} is not one of ${cniVersions.join(', ')}`;
    throw new WeirError('INVALID_ARGUMENT', message, { details: cniDetail.incompatibleVersion });
  }
  return { ...config, cniVersion: String(version) };
}

/** Checks what the plugin sends. Throws INVALID_ARGUMENT that names field, value and expectation. */
export function parseCniRequest(body: unknown): CniRequest {
  if (!isFields(body)) return refuse('request', body, 'an object');
  const command = text(body, 'command', { pattern: /^(ADD|DEL|CHECK|STATUS|GC)$/, expected: 'a CNI command' });
  const config = parseConfig(body);
  const concernsOne = command !== 'STATUS' && command !== 'GC';
  const needsNetns = command === 'ADD' || command === 'CHECK';
  const args = parseArguments(concernsOne ? body['args'] : undefined);
  const podUid = args.get('K8S_POD_UID');
  return {
    command: command as CniRequest['command'],
    cniVersion: config.cniVersion,
    network: typeof config['name'] === 'string' ? config['name'] : '',
    containerId: concernsOne
      ? text(body, 'containerId', { pattern: /^[a-zA-Z0-9][\w.-]{0,252}$/, expected: 'a container id' })
      : '',
    ifName: concernsOne
      ? text(body, 'ifName', { pattern: /^[^\s/:]{1,15}$/, expected: 'the name of an interface (1–15 characters)' })
      : '',
    netns: needsNetns
      ? text(body, 'netns', { pattern: /^\/.+/, expected: 'the absolute path of a network namespace' })
      : String(body['netns'] ?? ''),
    namespace: args.get('K8S_POD_NAMESPACE') || 'default',
    pod: args.get('K8S_POD_NAME') || String(body['containerId'] ?? ''),
    ...(podUid && { podUid }),
    labels: parseLabels(config),
    namedPorts: parseNamedPorts(config),
    prevResult: config['prevResult'],
    validAttachments: command === 'GC' ? parseAttachments(config) : [],
  };
}
