// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { whyNot, type Machine } from './kind.ts';

const able: Machine = { kernel: '6.1.0-13-amd64', hasBtf: true, capabilities: (1n << 41n) - 1n, isBuilt: true };

describe('whyNot()', () => {
  it('finds nothing against any kind on a machine that has everything', () => {
    expect([whyNot('unit', able), whyNot('kernel', able), whyNot('lab', able)]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });

  it('never stops unit tests', () => {
    expect(whyNot('unit', { kernel: '2.6', hasBtf: false, capabilities: 0n, isBuilt: false })).toBeUndefined();
  });

  it.each([
    [{ capabilities: 0n }, 'needs root'],
    [{ capabilities: 1n << 12n }, 'needs root'],
    [{ kernel: '5.9.16' }, 'needs Linux 5.10 or newer, found 5.9.16'],
    [{ kernel: '4.19.0' }, 'needs Linux 5.10'],
    [{ hasBtf: false }, 'needs a kernel with BTF'],
  ])('stops kernel tests with %p', (lack, reason) => {
    expect(whyNot('kernel', { ...able, ...lack })).toContain(reason);
  });

  it('takes 5.10 for newer than 5.9', () => {
    expect(whyNot('kernel', { ...able, kernel: '5.10.0' })).toBeUndefined();
  });

  it('stops lab tests, and no others, when nothing is built', () => {
    expect(whyNot('lab', { ...able, isBuilt: false })).toContain('make build');
    expect(whyNot('kernel', { ...able, isBuilt: false })).toBeUndefined();
  });
});
