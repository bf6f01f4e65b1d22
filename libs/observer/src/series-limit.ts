// SPDX-License-Identifier: Apache-2.0

/** Labels of a series. */
export type Labels = Readonly<Record<string, string>>;

/** Labels go through while they make `seriesMax` series at most; those of any other become `other`. */
export function boundSeries(
  names: readonly string[],
  { seriesMax, onLimit }: { readonly seriesMax: number; readonly onLimit: () => void },
): (labels: Labels) => Labels {
  const known = new Set<string>();
  const other: Labels = Object.fromEntries(names.map((name) => [name, 'other']));
  return (labels) => {
    const key = names.map((name) => labels[name]).join('\0');
    if (known.has(key)) return labels;
    if (known.size < seriesMax) {
      known.add(key);
      return labels;
    }
    onLimit();
    return other;
  };
}
