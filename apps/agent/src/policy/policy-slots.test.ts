// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { createPolicySlots } from './policy-slots.ts';

describe('createPolicySlots()', () => {
  it('keeps the slots that were adopted, and gives new identities others', () => {
    const slots = createPolicySlots(10, new Map([[300, 2]]));
    expect([slots.slotOf(300), slots.slotOf(301), slots.slotOf(302)]).toEqual([2, 1, 3]);
    expect(slots.find(999)).toBeUndefined();
  });

  it('lets a slot rest until all others had their turn', () => {
    const slots = createPolicySlots(4);
    [300, 301].forEach(slots.slotOf);
    expect(slots.release(300)).toBe(1);
    expect(slots.release(301)).toBe(2);
    expect([302, 303, 304, 305].map(slots.slotOf)).toEqual([3, 4, 1, 2]);
  });

  it('says that all are in use', () => {
    const slots = createPolicySlots(1);
    slots.slotOf(300);
    expect(() => slots.slotOf(301)).toThrow('All 1 policy slots of this node are in use');
    expect(slots.release(999)).toBeUndefined();
    slots.release(300);
    expect(slots.slotOf(301)).toBe(1);
  });

  it('frees all but those of certain identities', () => {
    const slots = createPolicySlots(10, new Map([[300, 1], [301, 2], [302, 3]])); // prettier-ignore
    expect(slots.retain(new Set([301]))).toEqual([2]);
    expect(slots.find(300)).toBeUndefined();
  });
});
