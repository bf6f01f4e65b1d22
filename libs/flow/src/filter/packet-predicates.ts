// SPDX-License-Identifier: Apache-2.0
import { isIP } from 'node:net';
import { cidrContains, parseCidr, tryParseIpAddress } from '@weir/model';
import { WeirError } from '@weir/errors';
import type { flow } from '@weir/proto';
import type { Side } from './endpoint-predicates.ts';
import { anyOf, type Flow, type Predicate, refused } from './predicate.ts';

type Layer4 = flow.Layer4.$Properties;

function ipTest(text: string): (address: string) => boolean {
  if (!text.includes('/')) {
    if (isIP(text) === 0) throw refused(`invalid IP address "${text}" in filter: expected an IPv4 or IPv6 address`);
    return (address) => address === text;
  }
  try {
    const cidr = parseCidr(text, { hostBits: 'clear' });
    return (address) => {
      const parsed = tryParseIpAddress(address);
      return parsed !== undefined && cidrContains(cidr, parsed);
    };
  } catch (thrown) {
    throw refused(`invalid IP prefix "${text}" in filter: ${WeirError.from(thrown).message}`);
  }
}

/** Filters by one address of the packet. */
export function ipPredicate(field: 'source' | 'destination' | 'sourceXlated', texts: readonly string[]): Predicate {
  const isWanted = anyOf(texts.map(ipTest));
  return ({ IP }) => {
    const address = IP?.[field] ?? '';
    return address !== '' && isWanted(address);
  };
}

/** Filters by one port of the packet. */
export function portPredicate(side: Side, texts: readonly string[]): Predicate {
  const wanted = new Set(
    texts.map((text) => {
      if (/^\d+$/.test(text) && Number(text) <= 65_535) return Number(text);
      throw refused(`invalid ${side} port filter: invalid port "${text}": expected 0 to 65535`);
    }),
  );
  return ({ l4 }) => {
    const ports = l4?.TCP ?? l4?.UDP ?? l4?.SCTP;
    if (ports === null || ports === undefined) return false;
    return wanted.has((side === 'source' ? ports.sourcePort : ports.destinationPort) ?? 0);
  };
}

const present = (value: unknown): boolean => value !== null && value !== undefined;
const ofLayer4 =
  (...names: (keyof Layer4)[]): Predicate =>
  ({ l4 }) =>
    present(l4) && names.some((name) => present(l4?.[name]));
const ofLayer7 =
  (name: 'dns' | 'http' | 'kafka'): Predicate =>
  ({ l7 }) =>
    present(l7?.[name]);

const protocols: Readonly<Record<string, Predicate>> = {
  icmp: ofLayer4('ICMPv4', 'ICMPv6'),
  icmpv4: ofLayer4('ICMPv4'),
  icmpv6: ofLayer4('ICMPv6'),
  tcp: ofLayer4('TCP'),
  udp: ofLayer4('UDP'),
  sctp: ofLayer4('SCTP'),
  vrrp: ofLayer4('VRRP'),
  igmp: ofLayer4('IGMP'),
  dns: ofLayer7('dns'),
  http: ofLayer7('http'),
  kafka: ofLayer7('kafka'),
};

/** Filters by protocol, whatever layer it is of. */
export function protocolPredicate(names: readonly string[]): Predicate {
  return anyOf<Flow>(
    names.map((name) => {
      const test = protocols[name.toLowerCase()];
      if (test === undefined) throw refused(`invalid protocol filter: unknown protocol: "${name}"`);
      return test;
    }),
  );
}

const flagNames = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG', 'ECE', 'CWR', 'NS'] as const;

/** Filters by TCP flags: all that an entry sets must be set in the packet. */
export function tcpFlagsPredicate(entries: readonly flow.TCPFlags.$Properties[]): Predicate {
  const wanted = entries.map((entry) => flagNames.filter((name) => entry[name] === true));
  return ({ l4 }) => {
    const flags = l4?.TCP?.flags;
    if (flags === null || flags === undefined) return false;
    return wanted.some((names) => names.every((name) => flags[name] === true));
  };
}

/** Filters by the device that the packet came from. */
export function interfacePredicate(entries: readonly flow.NetworkInterface.$Properties[]): Predicate {
  return ({ interface: device }) => {
    if (device === null || device === undefined) return false;
    return entries.some(
      ({ index, name }) => (!index || index === (device.index ?? 0)) && (!name || name === (device.name ?? '')),
    );
  };
}
