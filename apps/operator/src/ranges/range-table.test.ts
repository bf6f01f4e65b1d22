// SPDX-License-Identifier: Apache-2.0
import { beforeEach, describe, expect, it } from '@jest/globals';
import { formatCidr, parseCidr } from '@weir/model';
import { createPodRangePool } from './pod-range-pool.ts';
import type { NodePodRanges } from './range-change.ts';
import { createRangeTable, type RangeTable } from './range-table.ts';

const pool = (prefix: string, bits: number) => createPodRangePool(parseCidr(prefix), bits);
const textOf = ({ ipv4, ipv6 }: NodePodRanges): string => `${formatCidr(ipv4)} ${formatCidr(ipv6)}`;

describe('createPodRangePool()', () => {
  it.each([
    ['10.244.0.0/16', 24, 256, 3, '10.244.3.0/24'],
    ['fd00:10:244::/48', 64, 65_536, 3, 'fd00:10:244:3::/64'],
    ['10.0.0.0/24', 26, 4, 3, '10.0.0.192/26'],
    ['10.0.0.0/24', 24, 1, 0, '10.0.0.0/24'],
  ])('cuts %s into parts of /%d', (prefix, bits, capacity, index, part) => {
    const cut = pool(prefix, bits);
    expect([cut.capacity, formatCidr(cut.at(index)), cut.indexOf(cut.at(index))]).toEqual([capacity, part, index]);
  });

  it.each([
    ['10.244.0.0/16', 15],
    ['10.244.0.0/16', 31],
    ['fd00::/64', 48],
    ['fd00::/64', 127],
  ])('refuses parts of %s of /%d', (prefix, bits) => {
    expect(() => pool(prefix, bits)).toThrow(`cannot have a prefix of ${bits} bits, expected`);
  });

  it.each(['10.245.0.0/24', '10.244.0.0/25', 'fd00::/64'])('has no number for %s', (range) => {
    expect(pool('10.244.0.0/16', 24).indexOf(parseCidr(range))).toBeUndefined();
  });
});

describe('createRangeTable()', () => {
  let table: RangeTable;
  beforeEach(() => {
    table = createRangeTable({ ipv4: pool('10.0.0.0/22', 24), ipv6: pool('fd00::/48', 64) });
  });
  const give = (node: string, more: { known?: Partial<NodePodRanges>; occupied?: string[] } = {}): string => {
    const occupied = (more.occupied ?? []).map((text) => parseCidr(text));
    const ranges = table.choose({ node, known: more.known ?? {}, occupied });
    table.apply({ kind: 'assign', node, ranges });
    return textOf(ranges);
  };

  it('gives every node ranges of its own, in order', () => {
    expect(['a', 'b'].map((node) => give(node))).toEqual(['10.0.0.0/24 fd00::/64', '10.0.1.0/24 fd00:0:0:1::/64']);
  });

  it('says which pool is used up, and gives what becomes free', () => {
    ['a', 'b', 'c', 'd'].forEach((node) => give(node));
    expect(() => give('e')).toThrow(
      expect.objectContaining({
        code: 'RESOURCE_EXHAUSTED',
        message: 'All 4 ranges of 24 bits of the pool 10.0.0.0/22 are in use',
      }),
    );
    table.apply({ kind: 'release', node: 'b' });
    expect(give('e')).toMatch(/^10\.0\.1\.0\/24 /);
  });

  it('gives what has become free last', () => {
    give('a');
    table.apply({ kind: 'release', node: 'a' });
    expect(['b', 'c', 'd'].map((node) => give(node).split(' ')[0])).toEqual([
      ...['10.0.1.0/24', '10.0.2.0/24', '10.0.3.0/24'],
    ]);
    expect(give('e')).toMatch(/^10\.0\.0\.0\/24 /);
  });

  it('gives a node what it knows as its own, unless another one has it', () => {
    const known = { ipv4: parseCidr('10.0.2.0/24'), ipv6: parseCidr('fd00:0:0:9::/64') };
    expect(give('a', { known })).toBe('10.0.2.0/24 fd00:0:0:9::/64');
    expect(give('b', { known })).toBe('10.0.3.0/24 fd00:0:0:a::/64');
  });

  it('gives nobody what others have announced, or what overlaps it', () => {
    expect(give('a', { occupied: ['10.0.0.0/24', '10.0.1.128/25', 'fd00::/63'] })).toBe('10.0.2.0/24 fd00:0:0:2::/64');
  });

  it('keeps ranges of nodes from before the pool was another one, and gives nobody parts of them', () => {
    const ranges = { ipv4: parseCidr('10.0.0.0/23'), ipv6: parseCidr('fd99::/64') };
    table.apply({ kind: 'assign', node: 'old', ranges });
    expect(give('a')).toBe('10.0.2.0/24 fd00::/64');
    table.apply({ kind: 'release', node: 'old' });
    expect(['b', 'c'].map((node) => give(node).split(' ')[0])).toEqual(['10.0.3.0/24', '10.0.0.0/24']);
  });
});
