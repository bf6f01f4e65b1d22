// SPDX-License-Identifier: Apache-2.0
import { isIP } from 'node:net';
import fc from 'fast-check';
import {
  cidrAddressAt,
  cidrContains,
  cidrContainsCidr,
  cidrSize,
  createCidr,
  formatCidr,
  isIpv4Cidr,
  parseCidr,
} from './cidr.ts';
import { formatIpAddress, ipAddressFromBytes, isIpv4, parseIpAddress, tryParseIpAddress } from './ip-address.ts';

const canonical = (text: string): string => formatIpAddress(parseIpAddress(text));

describe('parseIpAddress() and formatIpAddress()', () => {
  it.each([
    ['10.0.0.1', '10.0.0.1'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['::FFFF:a00:1', '10.0.0.1'],
    ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['::', '::'],
    ['::1', '::1'],
    ['fe80::', 'fe80::'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
    ['1:2:3:4:5:6:1.2.3.4', '1:2:3:4:5:6:102:304'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
  ])('%s is %s (RFC 5952)', (given, expected) => {
    expect(canonical(given)).toBe(expected);
  });

  it.each([
    '',
    '1.2.3',
    '1.2.3.4.5',
    '256.1.1.1',
    '01.2.3.4',
    '1.2.3.4/8',
    ' 1.2.3.4',
    ':',
    ':::',
    '1::2::3',
    '12345::',
  ])('refuses %j', (text) => expect(() => parseIpAddress(text)).toThrow(`"${text}" is not an IPv4 or IPv6 address`));

  it.each([
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1::2:3:4:5:6:7:8',
    'fe80::1%eth0',
    '::1.2.3',
    '1.2.3.4::',
    'g::',
    '-1::',
  ])('refuses %j', (text) => expect(tryParseIpAddress(text)).toBeUndefined());

  it('accepts what the C library of the system accepts, and nothing else', () => {
    const soup = fc.oneof(fc.ipV4(), fc.ipV6(), fc.stringMatching(/^[0-9a-f:.]{0,20}$/));
    fc.assert(
      fc.property(soup, (text) => expect(tryParseIpAddress(text) !== undefined).toBe(isIP(text) !== 0)),
      { numRuns: 2000 },
    );
  });

  it('reads back what it writes, and writes one form', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
        const text = formatIpAddress(bytes);
        expect(parseIpAddress(text)).toEqual(bytes);
        expect(new URL(`http://[${isIpv4(bytes) ? '::' : text}]`).hostname).toBe(isIpv4(bytes) ? '[::]' : `[${text}]`);
      }),
    );
  });

  it('takes addresses of 4 and of 16 bytes and no others', () => {
    expect(formatIpAddress(ipAddressFromBytes(Uint8Array.of(192, 0, 2, 1)))).toBe('192.0.2.1');
    expect(() => ipAddressFromBytes(new Uint8Array(5))).toThrow('An address of 5 bytes; expected 4 or 16');
  });
});

describe('parseCidr()', () => {
  it.each([
    ['10.0.0.0/8', 104, '10.0.0.0/8'],
    ['0.0.0.0/0', 96, '0.0.0.0/0'],
    ['::/0', 0, '::/0'],
    ['fd00::/64', 64, 'fd00::/64'],
    ['1.2.3.4/32', 128, '1.2.3.4/32'],
  ])('%s has the prefix length %i in 16-byte form', (text, prefixLength, formatted) => {
    expect(parseCidr(text).prefixLength).toBe(prefixLength);
    expect(formatCidr(parseCidr(text))).toBe(formatted);
  });

  it.each([
    ['10.0.0.0', '"10.0.0.0" is not a prefix'],
    ['10.0.0.0/', 'is not a prefix'],
    ['10.0.0.0/08', 'is not a prefix'],
    ['10.0.0.0/33', '"10.0.0.0/33" has the prefix length 33; expected at most 32'],
    ['::/129', 'expected at most 128'],
    ['10.0.0.1/8', '"10.0.0.1/8" has bits set after its prefix; expected "10.0.0.0/8"'],
  ])('refuses %s', (text, message) => {
    expect(() => parseCidr(text)).toThrow(message);
  });

  it('clears the bits after the prefix when asked to', () => {
    expect(formatCidr(parseCidr('10.1.2.3/8', { hostBits: 'clear' }))).toBe('10.0.0.0/8');
  });

  it('tells the families apart, also for the shortest prefixes', () => {
    expect(isIpv4Cidr(parseCidr('0.0.0.0/0'))).toBe(true);
    expect(isIpv4Cidr(parseCidr('::/0'))).toBe(false);
  });
});

describe('a prefix', () => {
  const address = fc.uint8Array({ minLength: 16, maxLength: 16 });

  it('contains its first and its last address and not what is beside them', () => {
    const cidr = parseCidr('10.1.0.0/16');
    expect(cidrSize(cidr)).toBe(65536n);
    expect(formatIpAddress(cidrAddressAt(cidr, 0n))).toBe('10.1.0.0');
    expect(formatIpAddress(cidrAddressAt(cidr, 65535n))).toBe('10.1.255.255');
    expect(() => cidrAddressAt(cidr, 65536n)).toThrow('10.1.0.0/16 has no address 65536; it has 65536');
    expect(cidrContains(cidr, parseIpAddress('10.1.255.255'))).toBe(true);
    expect(cidrContains(cidr, parseIpAddress('10.2.0.0'))).toBe(false);
    expect(cidrContains(cidr, parseIpAddress('10.0.255.255'))).toBe(false);
  });

  it('contains nothing of the other family, however short it is', () => {
    expect(cidrContains(parseCidr('::/0'), parseIpAddress('10.0.0.1'))).toBe(false);
    expect(cidrContains(parseCidr('0.0.0.0/0'), parseIpAddress('10.0.0.1'))).toBe(true);
    expect(cidrContains(parseCidr('0.0.0.0/0'), parseIpAddress('fd00::1'))).toBe(false);
    const inner = parseCidr('10.0.0.0/8');
    expect(cidrContainsCidr({ outer: parseCidr('::/0'), inner })).toBe(false);
    expect(cidrContainsCidr({ outer: parseCidr('0.0.0.0/0'), inner })).toBe(true);
    expect(cidrContainsCidr({ outer: inner, inner: parseCidr('0.0.0.0/0') })).toBe(false);
  });

  it('contains the address that it was made of, and every longer prefix of it', () => {
    fc.assert(
      fc.property(address, fc.nat(128), fc.nat(128), (bytes, a, b) => {
        fc.pre(!isIpv4(bytes) || Math.min(a, b) >= 96);
        const outer = createCidr(bytes, Math.min(a, b));
        expect(cidrContains(outer, bytes)).toBe(true);
        expect(cidrContainsCidr({ outer, inner: createCidr(bytes, Math.max(a, b)) })).toBe(true);
      }),
    );
  });
});
