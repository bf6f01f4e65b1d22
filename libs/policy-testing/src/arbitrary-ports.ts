// SPDX-License-Identifier: Apache-2.0
// Made-up ports, types of ICMP message and HTTP rules, from few that often meet.
import fc from 'fast-check';
import type { WrittenHttpRule, WrittenIcmpRule, WrittenPort, WrittenPortRule } from './policy-document.ts';

const number = fc.constantFrom('80', '80', '443', '53', '0', '0x50');
const name = fc.constantFrom('http', 'web', 'DNS');
const protocol = fc.constantFrom('TCP', 'TCP', 'UDP', 'SCTP', 'ANY', '', 'tcp');

const range = fc.constantFrom<readonly [string, number]>(
  ['1', 65_535],
  ['80', 80],
  ['79', 81],
  ['443', 0],
  ['8000', 8191],
  ['8080', 8087],
  ['1024', 65_535],
);

const port: fc.Arbitrary<WrittenPort> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ port: number, protocol }) },
  { weight: 1, arbitrary: fc.record({ port: number }) },
  {
    weight: 2,
    arbitrary: fc.tuple(range, protocol).map(([[first, endPort], p]) => ({ port: first, endPort, protocol: p })),
  },
  { weight: 2, arbitrary: fc.record({ port: name, protocol }) },
);

const header = fc.constantFrom('X-A', 'X-A: 1', 'x-a 1', 'X-B: 2');
const headerMatch = fc.record(
  {
    name: fc.constantFrom('X-A', 'X-B'),
    value: fc.constantFrom('1', '2', ''),
    mismatch: fc.constantFrom('LOG' as const, 'ADD' as const, 'DELETE' as const, 'REPLACE' as const),
  },
  { requiredKeys: ['name'] },
);

/** An item of `rules.http`. */
export const arbitraryHttpRule: fc.Arbitrary<WrittenHttpRule> = fc.record(
  {
    method: fc.constantFrom('GET', 'GET|PUT', ''),
    path: fc.constantFrom('/a', '/a/.*', '/b'),
    host: fc.constantFrom('h'),
    headers: fc.array(header, { maxLength: 2 }),
    headerMatches: fc.array(headerMatch, { maxLength: 2 }),
  },
  { requiredKeys: [] },
);
const tcpPort: fc.Arbitrary<WrittenPort> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ port: fc.constantFrom('80', '443'), protocol: fc.constant('TCP') }) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      { port: '79', endPort: 81, protocol: 'TCP' },
      { port: '8000', endPort: 8191, protocol: 'TCP' },
    ),
  },
  { weight: 1, arbitrary: fc.record({ port: name, protocol: fc.constant('TCP') }) },
);
const httpPortRule: fc.Arbitrary<WrittenPortRule> = fc.record({
  ports: fc.array(tcpPort, { minLength: 1, maxLength: 2 }),
  rules: fc.record({ http: fc.array(arbitraryHttpRule, { maxLength: 2 }) }),
});

/** An item of `toPorts` of a denying rule. */
export const arbitraryPlainPortRule: fc.Arbitrary<WrittenPortRule> = fc.record({
  ports: fc.array(port, { minLength: 1, maxLength: 2 }),
});

/** An item of `toPorts` of an allowing rule. */
export const arbitraryPortRule: fc.Arbitrary<WrittenPortRule> = fc.oneof(
  { weight: 1, arbitrary: arbitraryPlainPortRule },
  { weight: 3, arbitrary: httpPortRule },
);

const icmpField = fc.oneof(
  fc.record({ type: fc.constantFrom<number | string>(8, 0, 'EchoRequest', '11') }),
  fc.record({ family: fc.constant('IPv6' as const), type: fc.constantFrom<number | string>(128, 'EchoReply') }),
);

/** An item of `icmps`. */
export const arbitraryIcmpRule: fc.Arbitrary<WrittenIcmpRule> = fc.record({
  fields: fc.array(icmpField, { maxLength: 2 }),
});
