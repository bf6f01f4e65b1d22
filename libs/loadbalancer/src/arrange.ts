// SPDX-License-Identifier: Apache-2.0

/**
 * An order of `wanted` in which as few places as can be hold something else than in `before`: who stays keeps its place, a
 * gap takes a newcomer or else the last one.
 */
export function arrange(before: readonly number[], wanted: ReadonlySet<number>): number[] {
  const placed: (number | undefined)[] = before
    .slice(0, wanted.size)
    .map((each) => (wanted.has(each) ? each : undefined));
  const taken = new Set(placed);
  const others = [...wanted].filter((each) => !taken.has(each));
  while (placed.length < wanted.size) placed.push(undefined);
  let next = 0;
  return placed.map((each) => each ?? others[next++] ?? 0);
}
