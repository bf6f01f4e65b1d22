// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import {
  canonicalNamedPorts,
  type Cidr,
  cidrContains,
  formatIpAddress,
  identityRange,
  isPortName,
  labelKeyProblem,
  labelValueProblem,
  parseCidr,
  parseIpAddress,
  portMax,
  portProtocols,
} from '@weir/model';
import { reservedIdentity } from '@weir/model';
import type { weir } from '@weir/proto';
import { readNode } from '../service/request-fields.ts';
import { type Announcement, directoryLimits } from './cluster-directory.ts';

const podRangesMax = 16;
// What Kubernetes allows for a name.
const nameLengthMax = 253;

const invalid = (field: string, problem: string): WeirError =>
  new WeirError('INVALID_ARGUMENT', `${field}: ${problem}`, { details: { field } });

function read<Value>(field: string, parse: () => Value): Value {
  try {
    return parse();
  } catch (error) {
    throw invalid(field, WeirError.from(error).message);
  }
}

function refuseMany(field: string, { count, max }: { readonly count: number; readonly max: number }): void {
  if (count > max) throw new WeirError('RESOURCE_EXHAUSTED', `${field}: has ${count} entries, expected at most ${max}`);
}

function readName(field: string, name: string | null | undefined): string {
  const text = name ?? '';
  if (text.length <= nameLengthMax) return text;
  throw invalid(field, `has ${text.length} characters, expected at most ${nameLengthMax}`);
}

/** Identities that a pod can have: those that are handed out, and those of pods that have none yet. */
const isPodIdentity = (identity: number): boolean =>
  (identity >= identityRange.cluster.min && identity <= identityRange.cluster.max) ||
  identity === reservedIdentity.init ||
  identity === reservedIdentity.health;

function readEndpoints(
  endpoints: readonly weir.identity.v1.IClusterEndpoint[],
  podRanges: readonly Cidr[],
): Announcement['endpoints'] {
  return new Map(
    endpoints.map(({ address: text, identity, ...names }, index) => {
      const field = `endpoints[${index}]`;
      const address = read(`${field}.address`, () => parseIpAddress(text ?? ''));
      if (!podRanges.some((range) => cidrContains(range, address))) {
        throw invalid(`${field}.address`, `"${text ?? ''}" lies in none of the node's pod ranges`);
      }
      const id = identity ?? 0;
      if (!isPodIdentity(id)) throw invalid(`${field}.identity`, `${id} is not the identity of a pod`);
      const [namespace, pod] = [readName(`${field}.namespace`, names.namespace), readName(`${field}.pod`, names.pod)];
      return [formatIpAddress(address), { identity: id, namespace, pod }];
    }),
  );
}

function readNamedPorts(all: readonly weir.identity.v1.IIdentityPorts[]): Announcement['namedPorts'] {
  refuseMany('node.named_ports', {
    count: all.reduce((sum, { ports }) => sum + (ports?.length ?? 0), 0),
    max: directoryLimits.namedPortsPerNodeMax,
  });
  return all
    .map(({ identity, ports }, index) => {
      const field = `node.named_ports[${index}]`;
      const id = identity ?? 0;
      if (!isPodIdentity(id)) throw invalid(`${field}.identity`, `${id} is not the identity of a pod`);
      const read = (ports ?? []).map(({ name, protocol, port }, at) => {
        const named = { name: name ?? '', protocol: protocol ?? 0, port: port ?? 0 };
        const isRight = isPortName(named.name) && portProtocols.includes(named.protocol);
        if (isRight && named.port >= 1 && named.port <= portMax) return named;
        throw invalid(`${field}.ports[${at}]`, `${JSON.stringify(named)} is not a named port`);
      });
      return [id, canonicalNamedPorts(read)] as const;
    })
    .sort(([a], [b]) => a - b);
}

function readLabels(labels: Readonly<Record<string, string>>): Announcement['labels'] {
  refuseMany('node.labels', { count: Object.keys(labels).length, max: directoryLimits.labelsPerNodeMax });
  for (const [key, value] of Object.entries(labels)) {
    const problem = labelKeyProblem(key) ?? labelValueProblem(value);
    if (problem !== undefined) throw invalid(`node.labels[${JSON.stringify(key)}]`, problem);
  }
  return labels;
}

/** What a node announces, checked. Throws INVALID_ARGUMENT, or RESOURCE_EXHAUSTED, with the field in front. */
export function readAnnouncement(request: weir.identity.v1.AnnounceRequest): Announcement {
  const { node, endpoints } = request;
  const [addresses, ranges] = [node?.addresses ?? [], node?.podRanges ?? []];
  refuseMany('node.addresses', { count: addresses.length, max: directoryLimits.addressesPerNodeMax });
  refuseMany('node.pod_ranges', { count: ranges.length, max: podRangesMax });
  refuseMany('endpoints', { count: endpoints.length, max: directoryLimits.endpointsPerNodeMax });
  const podRanges = ranges.map((text, index) => read(`node.pod_ranges[${index}]`, () => parseCidr(text)));
  return {
    name: readNode(node?.name ?? ''),
    addresses: addresses.map((text, index) =>
      read(`node.addresses[${index}]`, () => formatIpAddress(parseIpAddress(text))),
    ),
    podRanges,
    labels: readLabels(node?.labels ?? {}),
    namedPorts: readNamedPorts(node?.namedPorts ?? []),
    endpoints: readEndpoints(endpoints, podRanges),
  };
}
