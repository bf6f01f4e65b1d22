// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { fragmentPacket } from './fragment-packet.ts';
import { internetChecksum } from './internet-checksum.ts';
import { packet, type PacketBuilder } from './packet-builder.ts';
import { parsePacket } from './parse-packet.ts';
import { ethernetBytes, ipProtocol } from './protocols.ts';

const link = { source: '02:00:00:00:00:11', destination: 'ee:ee:ee:ee:ee:ee' };
const v4 = { source: '192.168.0.1', destination: '192.168.0.199' };
const v6 = { source: '2001:db8::1', destination: '2001:db8::2' };
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const fromHex = (text: string): Uint8Array => Buffer.from(text.replaceAll(' ', ''), 'hex');

describe('internetChecksum()', () => {
  it('gives the sum that RFC 1071 section 3 works out', () => {
    expect(internetChecksum(fromHex('0001 f203 f4f5 f6f7'))).toBe(~0xddf2 & 0xffff);
  });

  it('takes an odd last byte as the high one, and parts as if they were one', () => {
    expect(internetChecksum(fromHex('0001 f2'))).toBe(internetChecksum(fromHex('0001'), fromHex('f200')));
  });
});

describe('packet()', () => {
  // Frames as others wrote them: the first is in every textbook, the pings were captured from Linux.
  it.each<[string, PacketBuilder, string]>([
    [
      'an IPv4 header',
      packet()
        .ethernet(link)
        .ipv4({ ...v4, dontFragment: true, protocol: ipProtocol.udp, totalLength: 0x73 }),
      'eeeeeeeeeeee 020000000011 0800 4500 0073 0000 4000 4011 b861 c0a8 0001 c0a8 00c7',
    ],
    [
      'a ping',
      packet()
        .ethernet(link)
        .ipv4({ source: '127.0.0.1', destination: '127.0.0.1', identification: 0xbbac, dontFragment: true })
        .icmp({ type: 8, identifier: 0x559d, sequence: 1 })
        .payload(Uint8Array.of(0, 1, 2, 3)),
      'eeeeeeeeeeee 020000000011 0800 4500 0020 bbac 4000 4001 812e 7f00 0001 7f00 0001 0800 a05d 559d 0001 0001 0203',
    ],
    [
      'a ping over IPv6',
      packet()
        .ethernet(link)
        .ipv6({ source: '::1', destination: '::1', flowLabel: 0x25121 })
        .icmpv6({ type: 128, identifier: 0x559e, sequence: 1 })
        .payload(Uint8Array.of(0, 1, 2, 3)),
      `eeeeeeeeeeee 020000000011 86dd 6002 5121 000c 3a40 ${'0000'.repeat(7)} 0001 ${'0000'.repeat(7)} 0001
       8000 2814 559e 0001 0001 0203`,
    ],
  ])('builds %s', (_title, builder, expected) => {
    expect(hex(builder.bytes())).toBe(expected.replaceAll(/\s/g, ''));
  });

  it.each([
    [
      'tcp',
      packet().ethernet(link).ipv4(v4).tcp({ sourcePort: 1, destinationPort: 2, flags: 'SYN ACK' }).payload('odd'),
    ],
    ['tcp', packet().ethernet(link).ipv6(v6).hopByHop().tcp({ sourcePort: 1, destinationPort: 2, flags: 'SYN ACK' })],
    ['udp', packet().ethernet(link).ipv4(v4).udp({ sourcePort: 1, destinationPort: 2 }).payload('x')],
    ['udp', packet().ethernet(link).ipv6(v6).udp({ sourcePort: 1, destinationPort: 2 })],
    ['icmp', packet().ethernet(link).ipv4(v4).icmp({ type: 8, identifier: 7 })],
    ['icmp', packet().ethernet(link).ipv6(v6).icmpv6({ type: 128, identifier: 7 }).payload('ping')],
  ] as const)('gives %s a checksum that the parser finds right, and wrong after one bit', (layer, builder) => {
    const bytes = builder.bytes();
    expect(parsePacket(bytes)[layer]).toMatchObject({ checksum: 'right' });
    bytes[bytes.length - 1]! ^= 1;
    expect(parsePacket(bytes)[layer]).toMatchObject({ checksum: 'wrong' });
  });

  it('counts options, extension headers and payload in the lengths', () => {
    const options = packet()
      .ethernet(link)
      .ipv4({ ...v4, options: new Uint8Array(8).fill(1) });
    const { ip, udp } = parsePacket(options.udp({ sourcePort: 1, destinationPort: 2 }).payload('abc').bytes());
    expect(ip).toMatchObject({ checksum: 'right', protocol: ipProtocol.udp });
    expect(udp).toEqual({ checksum: 'right' });
    const chain = packet().ethernet(link).ipv6(v6).hopByHop().routing({ length: 16 }).authentication({ length: 16 });
    expect(parsePacket(chain.udp({ sourcePort: 1, destinationPort: 2 }).bytes())).toMatchObject({
      ip: { extensions: [0, 43, 51], protocol: ipProtocol.udp },
      udp: { checksum: 'right' },
    });
  });

  it('shares the beginning of packets without one changing the other', () => {
    const beginning = packet().ethernet(link).ipv4(v4);
    const first = hex(beginning.udp({ sourcePort: 1, destinationPort: 2 }).bytes());
    beginning.tcp({ sourcePort: 1, destinationPort: 2, flags: 'SYN' });
    expect(hex(beginning.udp({ sourcePort: 1, destinationPort: 2 }).bytes())).toBe(first);
  });

  it('refuses what it cannot write, by name', () => {
    const ports = { sourcePort: 1, destinationPort: 2 };
    expect(() =>
      packet()
        .ipv4(v4)
        .tcp({ ...ports, flags: 'SIN' })
        .bytes(),
    ).toThrow('"SIN" is not a TCP flag');
    expect(() => packet().ipv4(v6)).toThrow('"2001:db8::1" is not an address of 4 bytes');
    expect(() =>
      packet()
        .ethernet({ ...link, source: '02:00' })
        .bytes(),
    ).toThrow('"02:00" is not a MAC address');
  });
});

describe('fragmentPacket()', () => {
  it.each([
    ['IPv4', packet().ethernet(link).ipv4(v4)],
    ['IPv6', packet().ethernet(link).ipv6(v6)],
  ])('cuts %s into pieces that make up the whole again', (_title, network) => {
    const whole = network.udp({ sourcePort: 1, destinationPort: 2 }).payload('0123456789abcdefghij').bytes();
    const fragments = fragmentPacket(whole, { identification: 77, size: 16 });
    expect(fragments.map((each) => parsePacket(each).ip?.fragment)).toEqual([
      { identification: 77, offset: 0, more: true },
      { identification: 77, offset: 16, more: false },
    ]);
    const extra = parsePacket(whole).ip?.version === 6 ? 8 : 0;
    const head = whole.length - 28;
    expect(hex(Buffer.concat(fragments.map((each) => each.subarray(head + extra))))).toBe(hex(whole.subarray(head)));
    for (const each of fragments) {
      const { ip } = parsePacket(each);
      expect(ip).toMatchObject({ protocol: ipProtocol.udp });
      if (ip?.version === 4) expect(ip.checksum).toBe('right');
    }
    expect(head).toBeGreaterThan(ethernetBytes);
  });
});
