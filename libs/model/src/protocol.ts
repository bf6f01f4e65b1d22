// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';

/** IANA protocol numbers that Weir knows by name. */
export const protocolNumber = { ICMP: 1, TCP: 6, UDP: 17, ICMPv6: 58, SCTP: 132 } as const;

/** The name of a protocol as policies and tables write it. */
export type ProtocolName = keyof typeof protocolNumber;

/** Protocols whose flows have ports, ascending by number: what `ANY` means in a rule that names a port. */
export const portProtocols: readonly number[] = [protocolNumber.TCP, protocolNumber.UDP, protocolNumber.SCTP];

const protocolNames: ReadonlyMap<number, string> = new Map(
  Object.entries(protocolNumber).map(([name, number]) => [number, name]),
);

/** The name of a protocol number: `TCP`; `any` for 0, and the number itself when Weir has no name for it. */
export function formatProtocol(protocol: number): string {
  return protocol === 0 ? 'any' : (protocolNames.get(protocol) ?? String(protocol));
}

/** Reads a protocol's name in any case, or its number 0–255; `any` is 0. Throws INVALID_ARGUMENT. */
export function parseProtocol(text: string): number {
  if (/^any$/i.test(text)) return 0;
  for (const [number, name] of protocolNames) {
    if (name.toLowerCase() === text.toLowerCase()) return number;
  }
  if (/^\d{1,3}$/.test(text) && Number(text) <= 255) return Number(text);
  const known = [...protocolNames.values()].join(', ');
  throw new WeirError('INVALID_ARGUMENT', `"${text}" is not a protocol (any, ${known}, or a number 0–255)`);
}
