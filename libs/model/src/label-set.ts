// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { createLabel, formatLabel, type Label, parseLabel } from './label.ts';

/**
 * Labels in canonical form: sorted by the bytes of `source:key=value`, and one value for each source and key. Equal
 * sets have equal keys, whatever the order in which their labels came. Immutable.
 */
export interface LabelSet {
  readonly labels: readonly Label[];
  /** `k8s:a=b;k8s:c=d;`: every label followed by a semicolon, which no label contains. */
  readonly key: string;
}

/** How many labels a set may have. */
export const labelsPerSetMax = 256;

// UTF-16 code units sort surrogates before U+E000–U+FFFF, bytes sort them after: lift both out of each other's way.
function byteOrderUnit(unit: number): number {
  if (unit >= 0xe000) return unit - 0x800;
  return unit >= 0xd800 ? unit + 0x2000 : unit;
}

function compareBytes(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const difference = byteOrderUnit(a.charCodeAt(i)) - byteOrderUnit(b.charCodeAt(i));
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/**
 * Makes the canonical set of some labels. The same label twice is one label; two values for one source and key, a
 * malformed label and too many labels are INVALID_ARGUMENT.
 */
export function createLabelSet(labels: Iterable<Label>): LabelSet {
  const byName = new Map<string, { label: Label; text: string }>();
  for (const given of labels) {
    const label = createLabel(given);
    const name = `${label.source}:${label.key}`;
    const text = formatLabel(label);
    const other = byName.get(name);
    if (other !== undefined && other.text !== text) {
      throw new WeirError(
        'INVALID_ARGUMENT',
        `Label "${name}" has two values, "${other.label.value}" and "${label.value}"; expected one`,
      );
    }
    byName.set(name, { label, text });
  }
  if (byName.size > labelsPerSetMax) {
    throw new WeirError('INVALID_ARGUMENT', `${byName.size} labels in one set; expected at most ${labelsPerSetMax}`);
  }
  const sorted = [...byName.values()].sort((a, b) => compareBytes(a.text, b.text));
  return {
    labels: sorted.map((entry) => entry.label),
    key: sorted.map((entry) => `${entry.text};`).join(''),
  };
}

/** Reads a set from `[source:]key[=value]` strings in any order. Throws INVALID_ARGUMENT. */
export function parseLabelSet(texts: Iterable<string>): LabelSet {
  return createLabelSet([...texts].map(parseLabel));
}

/** The set's labels as `source:key=value` strings, sorted by byte value: what travels between services. */
export function formatLabelSet(set: LabelSet): string[] {
  return set.labels.map(formatLabel);
}
