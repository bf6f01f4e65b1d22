// SPDX-License-Identifier: Apache-2.0
import { assert } from '@weir/errors';
import { noUndo, type UndoLog } from './undo-log.ts';

/** The numbers that belong to no label set in use. */
export interface NumberPool {
  /** A number that was never used, chosen at random; without one, the one retired longest that may be used again. */
  take(nowMs: number): number | undefined;
  /** Takes a particular number. True when it was never used or is retired. */
  claim(id: number): boolean;
  /** Gives a number back; `take` leaves it alone until `reusableAtMs`. Times must not go back. */
  retire(id: number, reusableAtMs: number): void;
  isNeverUsed(id: number): boolean;
}

/** Numbers from `min` to `max`, both included; at most 65,535. */
export interface NumberRange {
  readonly min: number;
  readonly max: number;
}

export interface NumberPoolOptions {
  readonly range: NumberRange;
  /** Numbers in [0, 1). */
  readonly random: () => number;
  readonly undo?: UndoLog;
}

/**
 * Makes a pool in which every number of the range was never used.
 *
 * At random, because of the day when a store is lost and begun anew: running nodes still use the old numbers until they
 * have reported them, and the lowest free number would be one of those nearly always. Longest retired last, because every
 * day that a number rests is a day in which a forgotten use of it can end.
 */
export function createNumberPool({ range: { min, max }, random, undo = noUndo }: NumberPoolOptions): NumberPool {
  const count = max - min + 1;
  // The first `neverUsed` places hold the numbers never used, in any order; `placeOf` finds a number among them.
  const places = Uint16Array.from({ length: count }, (_, index) => min + index);
  const placeOf = Uint16Array.from({ length: count }, (_, index) => index);
  let neverUsed = count;
  const reusableAtMs = new Map<number, number>();

  const isNeverUsed = (id: number): boolean => {
    const place = placeOf[id - min];
    return place !== undefined && place < neverUsed;
  };
  const use = (id: number): void => {
    neverUsed -= 1;
    const place = placeOf[id - min] as number;
    const other = places[neverUsed] as number;
    places[place] = other;
    placeOf[other - min] = place;
    places[neverUsed] = id;
    placeOf[id - min] = neverUsed;
    undo.record(() => (neverUsed += 1));
  };
  const reuse = (id: number): boolean => {
    const fromMs = reusableAtMs.get(id);
    if (fromMs === undefined) return false;
    reusableAtMs.delete(id);
    undo.record(() => reusableAtMs.set(id, fromMs));
    return true;
  };

  return {
    take(nowMs) {
      if (neverUsed > 0) {
        const id = places[Math.floor(random() * neverUsed)] as number;
        use(id);
        return id;
      }
      for (const [id, fromMs] of reusableAtMs) {
        // What was taken back stands at the end although it is old: all are looked at.
        if (fromMs > nowMs) continue;
        reuse(id);
        return id;
      }
      return undefined;
    },
    claim(id) {
      if (!isNeverUsed(id)) return reuse(id);
      use(id);
      return true;
    },
    retire(id, atMs) {
      assert(id >= min && id <= max && !isNeverUsed(id), `number ${id} was in use`);
      reusableAtMs.set(id, atMs);
      undo.record(() => reusableAtMs.delete(id));
    },
    isNeverUsed,
  };
}
