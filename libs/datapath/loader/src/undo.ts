// SPDX-License-Identifier: Apache-2.0

/** Puts something back as it was. */
export type Undo = () => void;

/** Takes a further step: undoes the first one when it fails, and gives what undoes both when it does not. */
export function undoAlso(first: Undo, step: () => Undo): Undo {
  try {
    const second = step();
    return () => {
      second();
      first();
    };
  } catch (error) {
    first();
    throw error;
  }
}
