// SPDX-License-Identifier: Apache-2.0
import { onlyPolicy, specProblems, withSpec } from '../testing/parse-text.ts';
import type { Grant } from '../rule.ts';

describe('ports', () => {
  const port = (text: string): string[] =>
    specProblems(`endpointSelector: {}, ingress: [{toPorts: [{ports: ${text}}]}]`);
  const matches = (text: string): unknown =>
    onlyPolicy(withSpec(`endpointSelector: {}, ingress: [{toPorts: [{ports: ${text}}]}]`)).rules[0]?.ingress.grants[0]
      ?.ports;

  it.each([
    ['[{port: "80", protocol: TCP}]', [{ protocol: 6, port: 80 }]],
    ['[{port: "65535", protocol: udp}]', [{ protocol: 17, port: 65535 }]],
    ['[{port: "0x50", protocol: SCTP}]', [{ protocol: 132, port: 80 }]],
    ['[{port: "0", protocol: TCP}]', [{ protocol: 6, port: 0 }]],
    ['[{port: "0"}]', [{ protocol: 0, port: 0 }]],
    ['[{port: "53", protocol: ""}]', [6, 17, 132].map((protocol) => ({ protocol, port: 53 }))],
  ])('%s is %j', (text, expected) => {
    expect(matches(text)).toMatchObject(expected as object);
  });

  it.each([
    ['[{port: "70000"}]', '"70000" is not a port (0–65535; 0 is every port)'],
    ['[{port: 70000}]', '70000" is not a port (0–65535'],
    ['[{port: -1}]', '"-1" is not a port'],
    ['[{port: 80}]', '80 is a number, expected a string; write "80" in quotes'],
    ['[{port: "080"}]', '"080" is octal to some and decimal to others; write it without leading zeros'],
    ['[{port: ""}]', '"" is not a port'],
    ['[{port: "-a"}]', '"-a" is neither a port (0–65535; 0 is every port) nor the name of one (1–15 letters,'],
    [`[{port: "${'a'.repeat(16)}"}]`, 'aaa" is neither a port'],
    ['[{port: "80", endPort: 79}]', 'ports[0].endPort: Range ends with 79, before its first port 80'],
    ['[{port: "80", endPort: "90"}]', '"90" is not a whole number 0–65535; write it without quotes'],
    ['[{port: "80", endPort: 70000}]', '70000 is not a whole number 0–65535'],
    ['[{port: web, endPort: 90}]', 'Range from "web" to 90 begins with a name; expected a number'],
    ['[{port: "8 0"}]', '"8 0" is not a port'],
    ['[{}]', 'port: Field "port" is missing'],
    ['[{port: "80", protocol: ICMP}]', 'protocol: "ICMP" is not a protocol (one of TCP, UDP, SCTP, ANY)'],
    ['[]', 'ports: List of ports is empty; leave toPorts out to mean every port'],
    [`[${'{port: "1"},'.repeat(41)}]`, 'ports: List has 41 items; expected at most 40'],
  ])('%s is refused', (text, message) => {
    expect(port(text)).toEqual([expect.stringContaining(message)]);
  });

  it('must be named where toPorts is', () => {
    expect(specProblems('endpointSelector: {}, egress: [{toPorts: []}]')).toEqual([
      expect.stringContaining('egress[0].toPorts: List of port rules is empty; leave it out to mean every port'),
    ]);
    expect(specProblems('endpointSelector: {}, egress: [{toPorts: [{}]}]')).toEqual([
      expect.stringContaining('egress[0].toPorts[0].ports: Field "ports" is missing'),
    ]);
  });
});

const grantOf = (item: string): Grant =>
  onlyPolicy(withSpec(`endpointSelector: {}, ingress: [${item}]`)).rules[0]!.ingress.grants[0]!;
const portsOf = (ports: string): string[] =>
  grantOf(`{toPorts: [{ports: ${ports}}]}`).ports.map((p) => `${p.protocol}:${p.port}/${p.prefixLength}`);

describe('ranges of ports', () => {
  it.each([
    ['[{port: "8000", endPort: 8003, protocol: TCP}]', ['6:8000/14']],
    ['[{port: "79", endPort: 82, protocol: UDP}]', ['17:79/16', '17:80/15', '17:82/16']],
    ['[{port: "0", endPort: 65535, protocol: TCP}]', ['6:0/0']],
    ['[{port: "0", endPort: 65535}]', ['0:0/0']],
    ['[{port: "32768", endPort: 65535, protocol: TCP}]', ['6:32768/1']],
    ['[{port: "80", endPort: 80, protocol: TCP}]', ['6:80/16']],
    ['[{port: "80", endPort: 0, protocol: TCP}]', ['6:80/16']],
    ['[{port: "2", endPort: 3}]', ['6:2/15', '17:2/15', '132:2/15']],
  ])('%s are prefixes: %j', (ports, expected) => {
    expect(portsOf(ports)).toEqual(expected);
  });

  it('swallow the ports that lie in them', () => {
    const tcp = 'protocol: TCP';
    expect(portsOf(`[{port: "80", ${tcp}}, {port: "64", endPort: 127, ${tcp}}, {port: "80", protocol: UDP}]`)).toEqual([
      '6:64/10',
      '17:80/16',
    ]);
    expect(portsOf(`[{port: "80", ${tcp}}, {port: "0"}]`)).toEqual(['0:0/0']);
  });
});

describe('names of ports', () => {
  it('are kept in lower case, apart from numbers, with their protocol', () => {
    const { ports, namedPorts } = grantOf(
      '{toPorts: [{ports: [{port: HTTP, protocol: TCP}, {port: dns-2}, {port: "1"}]}]}',
    );
    expect(namedPorts).toEqual([
      { name: 'http', protocol: 6 },
      { name: 'dns-2', protocol: 0 },
    ]);
    expect(ports.map(({ port }) => port)).toEqual([1, 1, 1]);
  });

  it('are not numbers in other notations', () => {
    expect(portsOf('[{port: "0x50", protocol: TCP}]')).toEqual(['6:80/16']);
  });

  it('may have HTTP rules', () => {
    expect(grantOf('{toPorts: [{ports: [{port: web, protocol: TCP}], rules: {http: [{}]}}]}')).toMatchObject({
      namedPorts: [{ name: 'web' }],
      http: [{}],
    });
  });
});

describe('types of ICMP message', () => {
  const types = (icmps: string): string[] => grantOf(`{icmps: ${icmps}}`).ports.map((p) => `${p.protocol}:${p.port}`);

  it('become keys that are not "any port"', () => {
    expect(types('[{fields: [{type: 0}, {type: EchoRequest, family: IPv6}, {type: "8", family: IPv4}]}]')).toEqual([
      '1:256',
      '58:384',
      '1:264',
    ]);
  });

  it('are grants by themselves, one for each item', () => {
    const { rules } = onlyPolicy(
      withSpec(
        'endpointSelector: {}, ingress: [{fromEntities: [world], icmps: [{fields: [{type: 8}]}, {fields: []}]}]',
      ),
    );
    expect(rules[0]?.ingress.grants).toMatchObject([
      { path: 'spec.ingress[0].icmps[0]', ports: [{ protocol: 1, port: 264 }] },
      { path: 'spec.ingress[0].icmps[1]', ports: [] },
    ]);
  });

  it.each([
    ['[{fields: [{type: 256}]}]', 'fields[0].type: "256" is not a type of ICMP message of IPv4 (0–255, or a name'],
    ['[{fields: [{type: PacketTooBig}]}]', '"PacketTooBig" is not a type of ICMP message of IPv4'],
    ['[{fields: [{type: 1, family: ipv4}]}]', 'family: "ipv4" is not a family (one of IPv4, IPv6)'],
    ['[{fields: [{}]}]', 'fields[0].type: Field "type" is missing'],
    ['[{fields: [{type: true}]}]', 'Type of ICMP message is neither a number 0–255 nor a name such as EchoRequest'],
    [`[{fields: [${'{type: 1},'.repeat(41)}]}]`, 'fields: List has 41 items; expected at most 40'],
    ['[]', 'icmps: List of ICMP rules is empty; leave it out to mean every port and protocol'],
  ])('%s is refused', (icmps, message) => {
    expect(specProblems(`endpointSelector: {}, egress: [{icmps: ${icmps}}]`)).toEqual([
      expect.stringContaining(message),
    ]);
  });

  it('are not for one item with ports', () => {
    const item = '{toPorts: [{ports: [{port: "1"}]}], icmps: [{fields: [{type: 1}]}]}';
    expect(specProblems(`endpointSelector: {}, egress: [${item}]`)).toEqual([
      expect.stringContaining('spec.egress[0].icmps: Only one of toPorts, icmps may be in one item; write two items'),
    ]);
  });
});
