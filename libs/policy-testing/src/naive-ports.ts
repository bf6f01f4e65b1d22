// SPDX-License-Identifier: Apache-2.0
import type { NaiveFlow } from './naive-flow.ts';
import type { WrittenIcmpRule, WrittenPort } from './policy-document.ts';

const numbers: Readonly<Record<string, number>> = { TCP: 6, UDP: 17, SCTP: 132 };
const icmp = { IPv4: 1, IPv6: 58 } as const;
const icmpNames: Readonly<Record<string, number>> = { EchoReply: 0, EchoRequest: 8, TimeExceeded: 11 };
const icmpv6Names: Readonly<Record<string, number>> = { EchoRequest: 128, EchoReply: 129 };

/** Whether the pod that the port is of gives it the name: the subject of ingress, the peer of egress. */
function isNamed(name: string, { direction, subject, peer, protocol, port }: NaiveFlow): boolean {
  const { namedPorts = [] } = direction === 'ingress' ? subject : peer;
  const wanted = name.toLowerCase();
  return namedPorts.some((one) => one.name.toLowerCase() === wanted && one.protocol === protocol && one.port === port);
}

/** Without a protocol, any that has ports; port 0 is every port, and with any protocol simply everything. */
export function portMatches({ port, endPort = 0, protocol = '' }: WrittenPort, flow: NaiveFlow): boolean {
  const wanted = protocol === '' ? 'ANY' : protocol.toUpperCase();
  const isProtocol = wanted === 'ANY' ? [6, 17, 132].includes(flow.protocol) : numbers[wanted] === flow.protocol;
  if (Number.isNaN(Number(port))) return isProtocol && isNamed(port, flow);
  const first = Number(port);
  if (first === 0) return wanted === 'ANY' || isProtocol;
  return isProtocol && flow.port >= first && flow.port <= Math.max(first, endPort);
}

/** Whether a flow is of messages that a rule names. */
export function icmpMatches({ fields }: WrittenIcmpRule, { protocol, port }: NaiveFlow): boolean {
  return fields.some(({ family = 'IPv4', type }) => {
    const named = (family === 'IPv4' ? icmpNames : icmpv6Names)[type];
    return protocol === icmp[family] && port === (named ?? Number(type));
  });
}
