// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { createPolicySlots } from './policy-slots.ts';

describe('createPolicySlots()', () => {
  it('keeps the slots that were adopted, and gives new policies others', () => {
    const slots = createPolicySlots(10, [2, 3]);
    slots.adopt(300, 2);
    expect([slots.slotOf(300), slots.slotOf(301), slots.slotOf(302)]).toEqual([2, 1, 4]);
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

  it('lets a slot be adopted once, by a policy that has none', () => {
    const slots = createPolicySlots(10, [2]);
    [301, 300].forEach((subject) => slots.adopt(subject, 2));
    slots.adopt(301, 4);
    expect([slots.find(301), slots.find(300)]).toEqual([2, undefined]);
  });

  it('frees all but those of certain policies, and those that are to be kept', () => {
    const slots = createPolicySlots(10, [1, 2, 3, 4]);
    [300, 301].forEach((subject, index) => slots.adopt(subject, index + 1));
    expect(slots.retain(new Set([301]), new Set([4]))).toEqual([2, 4]);
    expect(slots.find(300)).toBeUndefined();
    expect([302, 303, 304].map(slots.slotOf)).toEqual([1, 3, 5]);
  });
});
