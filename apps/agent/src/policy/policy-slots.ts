// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';

/** Which policy slot of the datapath belongs to which local identity. */
export interface PolicySlots {
  /** The slot of an identity; the first call gives it one. Throws RESOURCE_EXHAUSTED. */
  slotOf(identity: number): number;
  /** The slot of an identity that has one. */
  find(identity: number): number | undefined;
  /** Frees the slot of an identity and returns it. */
  release(identity: number): number | undefined;
  /** Frees the slots of all identities but these; returns the slots that are left. */
  retain(identities: ReadonlySet<number>): readonly number[];
}

/**
 * Hands out slots 1 to `slotsMax`. `adopted` says which identity had which slot under the agent before; keeping them
 * means that a restart changes nothing in the kernel.
 */
export function createPolicySlots(slotsMax: number, adopted: ReadonlyMap<number, number> = new Map()): PolicySlots {
  const slots = new Map(adopted);
  const taken = new Set(slots.values());
  let next = 1;
  const release = (identity: number): number | undefined => {
    const slot = slots.get(identity);
    if (slot === undefined) return undefined;
    slots.delete(identity);
    taken.delete(slot);
    return slot;
  };
  return {
    slotOf(identity) {
      const known = slots.get(identity);
      if (known !== undefined) return known;
      if (taken.size >= slotsMax) {
        throw new WeirError('RESOURCE_EXHAUSTED', `All ${slotsMax} policy slots of this node are in use`);
      }
      // In turn, so that a slot rests: a program that still reads it sees no policy of somebody else's.
      while (taken.has(next)) next = (next % slotsMax) + 1;
      const slot = next;
      next = (next % slotsMax) + 1;
      taken.add(slot);
      slots.set(identity, slot);
      return slot;
    },
    find: (identity) => slots.get(identity),
    release,
    retain(identities) {
      for (const identity of [...slots.keys()]) if (!identities.has(identity)) release(identity);
      return [...slots.values()];
    },
  };
}
