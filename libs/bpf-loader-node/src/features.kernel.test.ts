// SPDX-License-Identifier: Apache-2.0
import { expect, it } from '@jest/globals';
import { describeAsRoot } from '../testing/sample.ts';
import { notSupported } from './features.ts';
import {
  hasFeature,
  hasHelper,
  hasMapType,
  hasProgramType,
  kernelVersion,
  requireFeature,
  requireHelper,
} from './index.ts';
import type { FeatureName, KernelVersion } from './index.ts';

function isAtLeast([major, minor]: KernelVersion): boolean {
  const [foundMajor, foundMinor] = kernelVersion();
  return foundMajor > major || (foundMajor === major && foundMinor >= minor);
}

/** The error that `body` throws; fails if it throws none. */
function thrownBy(body: () => void): unknown {
  try {
    body();
  } catch (error) {
    return error;
  }
  throw new Error('Expected an error');
}

describeAsRoot('hasFeature()', () => {
  // A probe that says no on a kernel that has the feature is as wrong as the other way round.
  it.each([
    ['tcx', [6, 6]],
    ['batch_hash', [5, 6]],
    ['batch_lpm_trie', [5, 13]],
    ['ringbuf', [5, 8]],
  ] as [FeatureName, KernelVersion][])('%s is there from Linux %p on, and not before', (name, since) => {
    expect(hasFeature(name)).toBe(isAtLeast(since));
  });

  it('requireFeature() passes for what is there', () => {
    expect(() => {
      requireFeature('ringbuf');
    }).not.toThrow();
  });
});

describeAsRoot('hasHelper()', () => {
  it('tells program types apart', () => {
    expect(hasHelper({ programType: 'sched_cls', helper: 'bpf_redirect_peer' })).toBe(true);
    expect(hasHelper({ programType: 'xdp', helper: 'bpf_redirect_peer' })).toBe(false);
  });

  it('requireHelper() is NOT_SUPPORTED and names the first kernel that has the helper', () => {
    const missing = { programType: 'xdp', helper: 'bpf_sk_assign' } as const;
    expect(thrownBy(() => requireHelper(missing))).toMatchObject({
      code: 'NOT_SUPPORTED',
      details: { minimumKernel: '5.10' },
      message: expect.stringContaining('"bpf_sk_assign" in programs of type "xdp" needs Linux 5.10 or newer, found '),
    });
  });

  it('refuses a helper that does not exist', () => {
    expect(() => hasHelper({ programType: 'xdp', helper: 'bpf_make_coffee' })).toThrow('helper: "bpf_make_coffee"');
  });
});

describeAsRoot('hasMapType() and hasProgramType()', () => {
  it('find what every supported kernel has', () => {
    expect([hasMapType('lpm_trie'), hasMapType('lru_hash'), hasProgramType('sched_cls')]).toEqual([true, true, true]);
  });

  it('refuse a type that does not exist', () => {
    expect(() => hasMapType('hsah' as never)).toThrow('Unknown map type "hsah"');
  });
});

describeAsRoot('notSupported()', () => {
  it('says what is needed even if the first kernel is not known', () => {
    expect(notSupported('This', undefined).message).toMatch(/^This needs a newer kernel, found \d/);
  });
});
