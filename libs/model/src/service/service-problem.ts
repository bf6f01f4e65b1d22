// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { isIpv4, tryParseIpAddress } from '../ip-address.ts';
import { createLabel } from '../label.ts';
import { portMax } from '../port.ts';
import {
  backendStates,
  frontendScopes,
  serviceLimits,
  serviceOwners,
  serviceProtocols,
  serviceSelections,
  type Service,
  type ServiceBackend,
  type ServiceFrontend,
  type ServiceLabels,
} from './service.ts';

const namePattern = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;
// What the value of a label may be.
const zonePattern = /^[A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?$/;
const portNamePattern = /^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)?$/;

const isWhole = (value: number, { min, max }: { readonly min: number; readonly max: number }): boolean =>
  Number.isInteger(value) && value >= min && value <= max;

const isOneOf = (values: readonly string[], value: string): boolean => values.includes(value);

function addressProblem(text: string, address: Uint8Array | undefined): string | undefined {
  if (address === undefined) return `"${text}" is not an IPv4 or IPv6 address`;
  const first = address[isIpv4(address) ? 12 : 0] ?? 0;
  if (isIpv4(address) ? first >= 224 : first === 0xff) return `"${text}" is a multicast or reserved address`;
  if (address.subarray(isIpv4(address) ? 12 : 0).every((byte) => byte === 0))
    return `"${text}" is no address of anybody`;
  return undefined;
}

function endProblem(end: ServiceFrontend | ServiceBackend, parsed: Uint8Array | undefined): string | undefined {
  const { address, port, portName } = end;
  const problem = addressProblem(address, parsed);
  if (problem !== undefined) return `address: ${problem}`;
  if (!isWhole(port, { min: 1, max: portMax })) return `port: ${port} is not a port (1–${portMax})`;
  if (!portNamePattern.test(portName)) return `portName: "${portName}" is not the name of a port`;
  return undefined;
}

function frontendProblem(frontend: ServiceFrontend, parsed: Uint8Array | undefined): string | undefined {
  if (!isOneOf(serviceProtocols, frontend.protocol)) {
    return `protocol: "${frontend.protocol}" is not balanced; expected ${serviceProtocols.join(' or ')}`;
  }
  if (frontend.scope !== undefined && !isOneOf(frontendScopes, frontend.scope)) {
    return `scope: "${frontend.scope}" is not one of ${frontendScopes.join(', ')}`;
  }
  return endProblem(frontend, parsed);
}

function backendProblem(backend: ServiceBackend, parsed: Uint8Array | undefined): string | undefined {
  const { weightMax } = serviceLimits;
  if (!isWhole(backend.weight, { min: 1, max: weightMax })) {
    return `weight: ${backend.weight} is not a number from 1 to ${weightMax}`;
  }
  if (!isOneOf(backendStates, backend.state)) {
    return `state: "${backend.state}" is not one of ${backendStates.join(', ')}`;
  }
  const { zoneHints = [] } = backend;
  if (zoneHints.length > serviceLimits.zoneHintsMax) {
    return `zoneHints: ${zoneHints.length} of them; expected at most ${serviceLimits.zoneHintsMax}`;
  }
  const zone = zoneHints.find((each) => !zonePattern.test(each));
  if (zone !== undefined) return `zoneHints: "${zone}" is not the name of a zone`;
  return endProblem(backend, parsed);
}

/** The first problem of a list's elements, or that two of them are the same. */
function listProblem<Row extends ServiceFrontend | ServiceBackend>(
  rows: readonly Row[],
  {
    field,
    max,
    problemOf,
  }: { field: string; max: number; problemOf: (row: Row, parsed: Uint8Array | undefined) => string | undefined },
): string | undefined {
  if (rows.length > max) return `${field}: ${rows.length} of them; expected at most ${max}`;
  const seen = new Set<string>();
  for (const [index, row] of rows.entries()) {
    const parsed = tryParseIpAddress(row.address);
    const problem = problemOf(row, parsed);
    if (problem !== undefined) return `${field}[${index}].${problem}`;
    const kind = 'protocol' in row ? row.protocol : row.portName;
    const key = `${kind} ${String.fromCharCode(...(parsed ?? []))} ${row.port}`;
    if (seen.has(key)) return `${field}[${index}]: ${row.address} port ${row.port} is there twice`;
    seen.add(key);
  }
  return undefined;
}

function labelsProblem(labels: ServiceLabels = {}, field: 'labels' | 'selector'): string | undefined {
  const pairs = Object.entries(labels);
  if (pairs.length > serviceLimits.labelsMax) {
    return `${field}: ${pairs.length} of them; expected at most ${serviceLimits.labelsMax}`;
  }
  try {
    for (const [key, value] of pairs) createLabel({ source: 'k8s', key, value });
    return undefined;
  } catch (error) {
    return `${field}: ${WeirError.from(error).message}`;
  }
}

/** What is wrong with a service, with the field and what was expected; undefined when nothing is. */
export function serviceProblem(service: Service): string | undefined {
  const { namespace, name, owner, frontends, backends, affinityTimeoutS } = service;
  const { frontendsMax, backendsMax, affinityTimeoutSMax } = serviceLimits;
  if (!namePattern.test(namespace)) return `namespace: "${namespace}" is not a name`;
  if (!namePattern.test(name)) return `name: "${name}" is not a name`;
  if (!isOneOf(serviceOwners, owner)) return `owner: "${owner}" is not one of ${serviceOwners.join(', ')}`;
  if (service.selection !== undefined && !isOneOf(serviceSelections, service.selection)) {
    return `selection: "${service.selection}" is not one of ${serviceSelections.join(', ')}`;
  }
  if (!isWhole(affinityTimeoutS, { min: 0, max: affinityTimeoutSMax })) {
    return `affinityTimeoutS: ${affinityTimeoutS} is not a number from 0 to ${affinityTimeoutSMax}`;
  }
  return (
    labelsProblem(service.labels, 'labels') ??
    labelsProblem(service.selector, 'selector') ??
    listProblem(frontends, { field: 'frontends', max: frontendsMax, problemOf: frontendProblem }) ??
    listProblem(backends, { field: 'backends', max: backendsMax, problemOf: backendProblem })
  );
}
