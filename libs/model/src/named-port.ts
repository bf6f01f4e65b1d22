// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { parsePort } from './port.ts';
import { formatProtocol, parseProtocol, portProtocols } from './protocol.ts';

/** A port that a pod's author gave a name, as in a container's `ports`. */
export interface NamedPort {
  readonly name: string;
  /** IANA number: TCP, UDP or SCTP. */
  readonly protocol: number;
  /** 1–65535. */
  readonly port: number;
}

/** Whether a text can be the name of a port: 1–15 letters, digits and inner single hyphens, at least one letter. */
export function isPortName(text: string): boolean {
  return /^(?=.{1,15}$)(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*$/i.test(text);
}

/** `http=80/TCP`, with the name in lower case, as rules write it. */
export const formatNamedPort = ({ name, protocol, port }: NamedPort): string =>
  `${name.toLowerCase()}=${port}/${formatProtocol(protocol)}`;

/** Reads `NAME=PORT` and `NAME=PORT/PROTOCOL`; without a protocol it is TCP. Throws INVALID_ARGUMENT. */
export function parseNamedPort(text: string): NamedPort {
  const [, name = '', port = '', protocolName = 'TCP'] = /^([^=]*)=([^/]*)(?:\/(.*))?$/.exec(text) ?? [];
  if (!isPortName(name)) {
    throw new WeirError(
      'INVALID_ARGUMENT',
      `"${text}" is not a named port; expected NAME=PORT/PROTOCOL, as in http=80/tcp`,
    );
  }
  const protocol = parseProtocol(protocolName);
  if (!portProtocols.includes(protocol)) {
    throw new WeirError('INVALID_ARGUMENT', `"${text}" has a protocol without ports; expected TCP, UDP or SCTP`);
  }
  return { name: name.toLowerCase(), protocol, port: parsePort(port) };
}

/** The same ports, each once, with names in lower case and in an order of their own: equal for equal sets. */
export function canonicalNamedPorts(ports: Iterable<NamedPort>): NamedPort[] {
  const byText = new Map<string, NamedPort>();
  for (const port of ports) byText.set(formatNamedPort(port), { ...port, name: port.name.toLowerCase() });
  return [...byText].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, port]) => port);
}
