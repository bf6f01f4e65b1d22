// SPDX-License-Identifier: Apache-2.0
import { canFollow, endpointStates } from './endpoint-state.ts';
import { entities, entityReservedIdentities } from './entity.ts';
import { formatLabelSet } from './label-set.ts';
import { icmpPort, icmpTypeOf } from './icmp.ts';
import { canonicalNamedPorts, isPortName, parseNamedPort } from './named-port.ts';
import { clusterPeer, identityScope, isClusterIdentity } from './numeric-identity.ts';
import { parsePort } from './port.ts';
import { formatProtocol, parseProtocol, protocolNumber } from './protocol.ts';
import { reservedIdentities, reservedIdentity } from './reserved-identity.ts';

describe('identityScope()', () => {
  it.each([
    [0, 'unknown'],
    [1, 'reserved'],
    [99, 'reserved'],
    [100, 'well-known'],
    [128, 'user-reserved'],
    [255, 'user-reserved'],
    [256, 'cluster'],
    [65535, 'cluster'],
    [65536, 'remote-cluster'],
    [2 ** 24 - 1, 'remote-cluster'],
    [2 ** 24, 'invalid'],
    [2 ** 24 + 1, 'local-cidr'],
    [2 ** 25 - 1, 'local-cidr'],
    [2 ** 25, 'local-node'],
    [2 ** 25 + 2 ** 24, 'invalid'],
    [-1, 'invalid'],
    [1.5, 'invalid'],
    [Number.NaN, 'invalid'],
  ])('%d is %s', (id, scope) => {
    expect(identityScope(id)).toBe(scope);
  });
});

describe('isClusterIdentity()', () => {
  it('holds for pods of this cluster and of others, and for nobody else', () => {
    const ids = [0, 1, 255, 256, 65535, 65536, 2 ** 24 - 1, 2 ** 24, 2 ** 24 + 1, 2 ** 25, clusterPeer];
    expect(ids.filter(isClusterIdentity)).toEqual([256, 65535, 65536, 2 ** 24 - 1]);
  });

  it('is about a class whose number nobody can have', () => expect(identityScope(clusterPeer)).toBe('invalid'));
});

describe('isPortName()', () => {
  it.each(['http', 'HTTP', 'a', 'dns-tcp', '8080-web', 'x1', 'a'.repeat(15)])('holds for %s', (text) => {
    expect(isPortName(text)).toBe(true);
  });

  it.each(['', '80', '8-0', '-a', 'a-', 'a--b', 'a_b', 'a.b', 'a b', 'a'.repeat(16)])('does not for %j', (text) => {
    expect(isPortName(text)).toBe(false);
  });
});

describe('parseNamedPort()', () => {
  it.each([
    ['http=80', { name: 'http', protocol: 6, port: 80 }],
    ['DNS=53/udp', { name: 'dns', protocol: 17, port: 53 }],
    ['m3ua=2905/SCTP', { name: 'm3ua', protocol: 132, port: 2905 }],
  ])('reads %s', (text, port) => expect(parseNamedPort(text)).toEqual(port));

  it.each(['http', '80=http', '=80', 'http=', 'http=0', 'http=80/icmp', 'http=80/any', 'http=80/'])(
    'refuses %j',
    (text) => expect(() => parseNamedPort(text)).toThrow(),
  );
});

describe('canonicalNamedPorts()', () => {
  it('is the same for the same ports in any order and case', () => {
    const [a, b] = [parseNamedPort('http=80'), parseNamedPort('dns=53/udp')];
    expect(canonicalNamedPorts([a, b, { ...a, name: 'HTTP' }])).toEqual(canonicalNamedPorts([b, a]));
  });
});

describe('icmpTypeOf()', () => {
  it.each([
    ['IPv4', '0', 0],
    ['IPv4', '255', 255],
    ['IPv4', 'EchoReply', 0],
    ['IPv4', 'EchoRequest', 8],
    ['IPv6', 'EchoRequest', 128],
    ['IPv6', 'PacketTooBig', 2],
    ['IPv4', 'PacketTooBig', undefined],
    ['IPv4', 'echoreply', undefined],
    ['IPv4', 'toString', undefined],
    ['IPv4', '256', undefined],
    ['IPv4', '08', undefined],
    ['IPv4', '-1', undefined],
    ['IPv4', '', undefined],
  ] as const)('of %s, %j is %s', (family, text, expected) => {
    expect(icmpTypeOf(family, text)).toBe(expected);
  });

  it('gives a number that is never "any port" in a policy map', () => {
    expect([icmpPort(0), icmpPort(255)]).toEqual([256, 511]);
  });
});

describe('reservedIdentities', () => {
  it('gives each number the label of its name', () => {
    expect(formatLabelSet(reservedIdentities.get(reservedIdentity.host)!)).toEqual(['reserved:host']);
    expect(formatLabelSet(reservedIdentities.get(2)!)).toEqual(['reserved:world']);
    expect(formatLabelSet(reservedIdentities.get(7)!)).toEqual(['reserved:kube-apiserver', 'reserved:remote-node']);
  });

  it('has numbers of the reserved scope only', () => {
    for (const id of reservedIdentities.keys()) expect(identityScope(id)).toBe('reserved');
  });

  it('is what every entity is made of', () => {
    for (const entity of entities) {
      for (const name of entityReservedIdentities[entity])
        expect(reservedIdentities.has(reservedIdentity[name])).toBe(true);
    }
  });
});

describe('parsePort()', () => {
  it('reads 1–65535', () => expect([parsePort('1'), parsePort('65535')]).toEqual([1, 65535]));

  it.each(['0', '65536', '70000', '-1', '080', '0x50', '80 ', '', 'http'])('refuses %j', (text) => {
    expect(() => parsePort(text)).toThrow(`"${text}" is not a port (1–65535)`);
  });
});

describe('parseProtocol()', () => {
  it('reads what formatProtocol() writes, in any case', () => {
    for (const number of [0, 6, 17, 58, 132, 41]) expect(parseProtocol(formatProtocol(number))).toBe(number);
    expect(parseProtocol('tcp')).toBe(protocolNumber.TCP);
    expect(parseProtocol('ANY')).toBe(0);
  });

  it('refuses what is neither a name nor a number', () => {
    expect(() => parseProtocol('TPC')).toThrow(
      '"TPC" is not a protocol (any, ICMP, TCP, UDP, ICMPv6, SCTP, or a number',
    );
    expect(() => parseProtocol('256')).toThrow('"256" is not a protocol');
  });
});

describe('canFollow()', () => {
  it('lets every endpoint that is not gone be removed', () => {
    for (const from of endpointStates) {
      expect(canFollow({ from, to: 'disconnecting' })).toBe(from !== 'disconnected');
    }
  });

  it('brings nothing back that is gone', () => {
    for (const to of endpointStates) expect(canFollow({ from: 'disconnected', to })).toBe(to === 'disconnected');
  });

  it('makes no endpoint ready without writing its policy, but for a restored one', () => {
    const before = endpointStates.filter((from) => from !== 'ready' && canFollow({ from, to: 'ready' }));
    expect(before).toEqual(['regenerating', 'restoring']);
  });
});
