// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import {
  type FlowAggregation,
  flowAggregations,
  isFlowAggregation,
  isPortName,
  type NamedPort,
  portMax,
  portProtocols,
} from '@weir/model';

/** What is written down of an endpoint: all that a restarted agent cannot find out by itself. */
export interface EndpointRecord {
  readonly id: number;
  readonly containerId: string;
  /** The interface inside the pod. */
  readonly ifName: string;
  /** Name of the network configuration that it was made by; what a runtime's garbage collection is about. */
  readonly network: string;
  /** Path of the pod's network namespace. */
  readonly netns: string;
  readonly namespace: string;
  readonly pod: string;
  /** What the user said of the pod; the platform's labels are added when they are needed. */
  readonly labels: Readonly<Record<string, string>>;
  readonly ipv4: string;
  readonly ipv6: string;
  /** Of the interface inside the pod, `aa:bb:cc:dd:ee:ff`. */
  readonly mac: string;
  /** The other end of the pod's veth, on the node. */
  readonly hostInterface: string;
  readonly hostIfindex: number;
  readonly mtu: number;
  readonly createdMs: number;
  /**
   * The number that its labels have, and those labels in canonical form (`LabelSet.key`), since another label filter may
   * select others. With it an agent needs nobody else to put the endpoint under its policy again.
   */
  readonly identity?: { readonly id: number; readonly labels: string };
  /** What its policy denies is let through, and reported. Absent: no. */
  readonly audit?: boolean;
  /** How much is reported of its running connections. Absent: as the node has it. */
  readonly aggregation?: FlowAggregation;
  /** Of Kubernetes. Absent: none. */
  readonly serviceAccount?: string;
  /** What its author calls its ports, at least one. */
  readonly namedPorts?: readonly NamedPort[];
}

/** Written into every file; a file with a higher one is from a newer agent. */
export const endpointRecordVersion = 1;

const shape: Readonly<
  Record<
    Exclude<keyof EndpointRecord, 'identity' | 'audit' | 'aggregation' | 'serviceAccount' | 'namedPorts'>,
    'string' | 'number' | 'object'
  >
> = {
  id: 'number',
  containerId: 'string',
  ifName: 'string',
  network: 'string',
  netns: 'string',
  namespace: 'string',
  pod: 'string',
  labels: 'object',
  ipv4: 'string',
  ipv6: 'string',
  mac: 'string',
  hostInterface: 'string',
  hostIfindex: 'number',
  mtu: 'number',
  createdMs: 'number',
};

const corrupt = (file: string, what: string, cause?: unknown): WeirError =>
  new WeirError('CORRUPT_STATE', `The endpoint file "${file}" ${what}`, { cause, details: { file } });

/** Reads what {@link formatEndpointRecord} wrote. Throws CORRUPT_STATE that names file, field, value and expectation. */
export function parseEndpointRecord(text: string, file: string): EndpointRecord {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw corrupt(file, 'is not JSON', cause);
  }
  if (typeof value !== 'object' || value === null) throw corrupt(file, 'is not a JSON object');
  const fields = value as Readonly<Record<string, unknown>>;
  const version = fields['version'];
  if (version !== endpointRecordVersion) {
    throw corrupt(file, `has the version ${JSON.stringify(version)}; expected ${endpointRecordVersion}`);
  }
  for (const [field, type] of Object.entries(shape)) {
    const found = fields[field];
    if (typeof found !== type || found === null) {
      throw corrupt(file, `has ${field} ${JSON.stringify(found)}; expected a ${type}`);
    }
  }
  const labels = fields['labels'] as Readonly<Record<string, unknown>>;
  if (Object.values(labels).some((label) => typeof label !== 'string'))
    throw corrupt(file, 'has labels that are not text');
  const record = Object.fromEntries(Object.keys(shape).map((field) => [field, fields[field]]));
  const more = { ...identityOf(fields, file), ...auditOf(fields, file), ...aggregationOf(fields, file) };
  const ofKubernetes = { ...serviceAccountOf(fields, file), ...namedPortsOf(fields, file) };
  return { ...record, ...more, ...ofKubernetes } as unknown as EndpointRecord;
}

function identityOf(fields: Readonly<Record<string, unknown>>, file: string): Pick<EndpointRecord, 'identity'> {
  const { identity } = fields;
  if (identity === undefined) return {};
  const { id, labels } = (identity ?? {}) as Readonly<Record<string, unknown>>;
  if (typeof id === 'number' && typeof labels === 'string') return { identity: { id, labels } };
  throw corrupt(file, `has identity ${JSON.stringify(identity)}; expected a number "id" and text "labels"`);
}

function auditOf({ audit }: Readonly<Record<string, unknown>>, file: string): Pick<EndpointRecord, 'audit'> {
  if (audit === undefined) return {};
  if (typeof audit === 'boolean') return { audit };
  throw corrupt(file, `has audit ${JSON.stringify(audit)}; expected true or false`);
}

function aggregationOf(
  { aggregation }: Readonly<Record<string, unknown>>,
  file: string,
): Pick<EndpointRecord, 'aggregation'> {
  if (aggregation === undefined) return {};
  if (isFlowAggregation(aggregation)) return { aggregation };
  throw corrupt(file, `has aggregation ${JSON.stringify(aggregation)}; expected one of ${flowAggregations.join(', ')}`);
}

function serviceAccountOf(
  { serviceAccount }: Readonly<Record<string, unknown>>,
  file: string,
): Pick<EndpointRecord, 'serviceAccount'> {
  if (serviceAccount === undefined) return {};
  if (typeof serviceAccount === 'string') return { serviceAccount };
  throw corrupt(file, `has serviceAccount ${JSON.stringify(serviceAccount)}; expected text`);
}

function isNamedPort(value: unknown): value is NamedPort {
  const { name, protocol, port } = (value ?? {}) as Readonly<Record<string, unknown>>;
  if (typeof name !== 'string' || typeof protocol !== 'number' || typeof port !== 'number') return false;
  return isPortName(name) && portProtocols.includes(protocol) && port >= 1 && port <= portMax;
}

function namedPortsOf(
  { namedPorts }: Readonly<Record<string, unknown>>,
  file: string,
): Pick<EndpointRecord, 'namedPorts'> {
  if (namedPorts === undefined) return {};
  if (Array.isArray(namedPorts) && namedPorts.every(isNamedPort)) return { namedPorts };
  throw corrupt(file, `has namedPorts ${JSON.stringify(namedPorts)}; expected a list of {name, protocol, port}`);
}

/** One line of JSON with its version. */
export function formatEndpointRecord(record: EndpointRecord): string {
  return `${JSON.stringify({ version: endpointRecordVersion, ...record })}\n`;
}
