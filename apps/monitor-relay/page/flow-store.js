// SPDX-License-Identifier: Apache-2.0
/**
 * Keeps the newest flows, as many as fit, and shows those that `isWanted` says. Each has a number that stays: `firstId` and
 * `nextId` are the limits of what is kept.
 */
export function createFlowStore({ rowsMax }) {
  let rows = [];
  let firstId = 0;
  let nextId = 0;
  let isWanted = () => true;
  let shown = [];

  const trim = () => {
    // Now and then many at a time: taking off one at a time moves all others every time.
    if (rows.length <= rowsMax * 1.25) return;
    firstId += rows.length - rowsMax;
    rows = rows.slice(-rowsMax);
    const at = shown.findIndex(({ id }) => id >= firstId);
    shown = at === -1 ? [] : shown.slice(at);
  };

  return {
    add(row) {
      const kept = { ...row, id: nextId++ };
      rows.push(kept);
      if (isWanted(kept)) shown.push(kept);
      trim();
    },
    clear() {
      [rows, shown, firstId] = [[], [], nextId];
    },
    select(test) {
      isWanted = test;
      shown = rows.filter(isWanted);
    },
    /** What is kept, oldest first. */
    get kept() {
      return rows.length;
    },
    /** What is shown of it, oldest first. */
    get shown() {
      return shown;
    },
  };
}
