// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';

/** Which policy slot of the datapath belongs to which policy of local endpoints. */
export interface PolicySlots {
  /** The slot of a policy; the first call gives it one. Throws RESOURCE_EXHAUSTED. */
  slotOf(subject: number): number;
  /** The slot of a policy that has one. */
  find(subject: number): number | undefined;
  /** Gives a policy the slot that it had under the agent before, unless one of them has found another partner since. */
  adopt(subject: number, slot: number): void;
  /** Frees the slot of a policy and returns it. */
  release(subject: number): number | undefined;
  /** Frees all slots but those of these policies and `slotsKept`; returns the slots that are left. */
  retain(subjects: ReadonlySet<number>, slotsKept: ReadonlySet<number>): readonly number[];
}

/**
 * Hands out slots 1 to `slotsMax`. `inKernel` are those that endpoints of the agent before have: nobody else gets one of
 * them before it is known whose they are. Keeping them means that a restart changes nothing in the kernel.
 */
export function createPolicySlots(slotsMax: number, inKernel: Iterable<number> = []): PolicySlots {
  const slots = new Map<number, number>();
  const unclaimed = new Set(inKernel);
  const taken = new Set(unclaimed);
  let next = 1;
  const release = (subject: number): number | undefined => {
    const slot = slots.get(subject);
    if (slot === undefined) return undefined;
    slots.delete(subject);
    taken.delete(slot);
    return slot;
  };
  return {
    slotOf(subject) {
      const known = slots.get(subject);
      if (known !== undefined) return known;
      if (taken.size >= slotsMax) {
        throw new WeirError('RESOURCE_EXHAUSTED', `All ${slotsMax} policy slots of this node are in use`);
      }
      // In turn, so that a slot rests: a program that still reads it sees no policy of somebody else's.
      while (taken.has(next)) next = (next % slotsMax) + 1;
      const slot = next;
      next = (next % slotsMax) + 1;
      taken.add(slot);
      slots.set(subject, slot);
      return slot;
    },
    find: (subject) => slots.get(subject),
    adopt(subject, slot) {
      if (!slots.has(subject) && unclaimed.delete(slot)) slots.set(subject, slot);
    },
    release,
    retain(subjects, slotsKept) {
      for (const subject of [...slots.keys()]) if (!subjects.has(subject)) release(subject);
      for (const slot of unclaimed) {
        if (slotsKept.has(slot)) continue;
        unclaimed.delete(slot);
        taken.delete(slot);
      }
      return [...taken];
    },
  };
}
