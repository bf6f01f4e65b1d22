// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { tryParseIpAddress } from '../ip-address.ts';
import { parsePort } from '../port.ts';
import {
  backendStates,
  frontendScopes,
  serviceProtocols,
  type BackendState,
  type ServiceBackend,
  type ServiceFrontend,
} from './service.ts';

const invalid = (message: string): WeirError => new WeirError('INVALID_ARGUMENT', message);

/** `10.0.0.1:80`, `[fd00::1]:80` */
export function formatServiceAddress({ address, port }: { readonly address: string; readonly port: number }): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function parseServiceAddress(text: string): { address: string; port: number } {
  const [, bracketed, plain, port] = /^(?:\[([^\]]*)\]|([^:[\]]*)):([^:]*)$/.exec(text) ?? [];
  const address = bracketed ?? plain ?? '';
  if (port === undefined || tryParseIpAddress(address) === undefined) {
    throw invalid(`"${text}" is not an address with a port; expected ADDRESS:PORT or [ADDRESS]:PORT`);
  }
  return { address, port: parsePort(port) };
}

/** `a=1,b=2` behind the first comma; the fields that are known, and no others. */
function parseFields(text: string, known: readonly string[]): { head: string; fields: Map<string, string> } {
  const [head = '', ...rest] = text.split(',');
  const fields = new Map<string, string>();
  for (const part of rest) {
    const equals = part.indexOf('=');
    const name = part.slice(0, Math.max(equals, 0));
    if (!known.includes(name)) throw invalid(`"${part}" in "${text}" is not one of ${known.join('=…, ')}=…`);
    fields.set(name, part.slice(equals + 1));
  }
  return { head, fields };
}

function scopeOf(text: string): Pick<ServiceFrontend, 'scope'> {
  const scope = frontendScopes.find((each) => each === text);
  if (scope === undefined) throw invalid(`"${text}" is not the scope of a frontend: ${frontendScopes.join(', ')}`);
  return scope === 'cluster' ? {} : { scope };
}

/** Reads `10.96.0.10:80`, `[fd00::1]:53/UDP`, and behind commas `name=http`, `scope=external`. Throws INVALID_ARGUMENT. */
export function parseServiceFrontend(text: string): ServiceFrontend {
  const { head, fields } = parseFields(text, ['name', 'scope']);
  const slash = head.lastIndexOf('/');
  const wanted = slash < 0 ? 'TCP' : head.slice(slash + 1).toUpperCase();
  const protocol = serviceProtocols.find((each) => each === wanted);
  if (protocol === undefined) throw invalid(`"${text}" has the protocol "${wanted}"; expected TCP or UDP`);
  return {
    ...parseServiceAddress(slash < 0 ? head : head.slice(0, slash)),
    protocol,
    portName: fields.get('name') ?? '',
    ...scopeOf(fields.get('scope') ?? 'cluster'),
  };
}

/** The reverse of {@link parseServiceFrontend}, with the protocol. */
export function formatServiceFrontend(frontend: ServiceFrontend): string {
  const { protocol, portName, scope = 'cluster' } = frontend;
  const more = [portName && `,name=${portName}`, scope === 'cluster' ? '' : `,scope=${scope}`];
  return `${formatServiceAddress(frontend)}/${protocol}${more.join('')}`;
}

function parseState(text: string): BackendState {
  const state = backendStates.find((each) => each === text);
  if (state === undefined) throw invalid(`"${text}" is not the state of a backend: ${backendStates.join(', ')}`);
  return state;
}

function parseWeight(text: string): number {
  if (/^[1-9]\d{0,4}$/.test(text)) return Number(text);
  throw invalid(`"${text}" is not a weight (1–65535)`);
}

/** Reads `10.0.0.1:8080`, and behind commas `weight=2`, `state=terminating`, `name=http`, `node=n1`, `zone=a`, `hints=a+b`. */
export function parseServiceBackend(text: string): ServiceBackend {
  const { head, fields } = parseFields(text, ['weight', 'state', 'name', 'node', 'zone', 'hints']);
  return {
    ...parseServiceAddress(head),
    portName: fields.get('name') ?? '',
    weight: parseWeight(fields.get('weight') ?? '1'),
    state: parseState(fields.get('state') ?? 'active'),
    node: fields.get('node') ?? '',
    zone: fields.get('zone') ?? '',
    ...(fields.has('hints') && { zoneHints: fields.get('hints')?.split('+') ?? [] }),
  };
}
