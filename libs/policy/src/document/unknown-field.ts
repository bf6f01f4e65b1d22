// SPDX-License-Identifier: Apache-2.0

/** Number of characters to insert, delete, replace or swap with a neighbour to make one word of another. */
export function editDistance(words: { readonly from: string; readonly to: string }): number {
  const { from, to } = words;
  const rows: number[][] = [Array.from({ length: to.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= from.length; i++) {
    const row = [i];
    for (let j = 1; j <= to.length; j++) {
      const replace = (rows[i - 1]?.[j - 1] ?? 0) + (from[i - 1] === to[j - 1] ? 0 : 1);
      const isSwap = i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1];
      const swap = isSwap ? (rows[i - 2]?.[j - 2] ?? 0) + 1 : Infinity;
      row.push(Math.min((rows[i - 1]?.[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, replace, swap));
    }
    rows.push(row);
  }
  return rows[from.length]?.[to.length] ?? 0;
}

const comparedCharactersMax = 64;

/** The known word that a misspelt one probably stands for: at most two edits and less than half of its letters away. */
export function closestWord(word: string, known: readonly string[]): string | undefined {
  if (word.length > comparedCharactersMax) return undefined;
  let best: { word: string; distance: number } | undefined;
  for (const candidate of known) {
    const distance = editDistance({ from: word.toLowerCase(), to: candidate.toLowerCase() });
    if (distance <= 2 && distance * 2 < candidate.length && distance < (best?.distance ?? Infinity)) {
      best = { word: candidate, distance };
    }
  }
  return best?.word;
}

/** The names that an object's fields may have. */
export interface FieldNames {
  readonly accepted: readonly string[];
  /** Known, and refused with a reason of their own. */
  readonly refused: readonly string[];
}

/** Says that a field is not known here, and what was probably meant. */
export function unknownFieldMessage(field: string, names: FieldNames): string {
  const known = [...names.accepted, ...names.refused];
  // The baseline's decoder ignores the case of keys, so that such files are about; they must not be half understood.
  const otherCase = known.find((name) => name.toLowerCase() === field.toLowerCase());
  if (otherCase !== undefined) return `Field "${field}" is not known; letter case counts, write "${otherCase}"`;
  const guess = closestWord(field, known);
  if (guess !== undefined) return `Field "${field}" is not known; did you mean "${guess}"?`;
  return `Field "${field}" is not known; expected one of ${names.accepted.join(', ')}`;
}
