// SPDX-License-Identifier: Apache-2.0

/** Takes changes of memory back that could not be made durable. */
export interface UndoLog {
  /** Called after a change, with what takes it back. */
  record(undo: () => void): void;
  /** What was recorded is durable now. */
  keep(): void;
  /** Takes back everything since the last `keep`, the newest first. */
  takeBack(): void;
  readonly isEmpty: boolean;
}

/** Makes an empty log. */
export function createUndoLog(): UndoLog {
  let steps: (() => void)[] = [];
  return {
    record: (undo) => void steps.push(undo),
    keep() {
      steps = [];
    },
    takeBack() {
      const taken = steps;
      steps = [];
      for (const undo of taken.toReversed()) undo();
    },
    get isEmpty() {
      return steps.length === 0;
    },
  };
}

/** For tables whose changes are never taken back. */
export const noUndo: UndoLog = {
  record: () => undefined,
  keep: () => undefined,
  takeBack: () => undefined,
  isEmpty: true,
};
