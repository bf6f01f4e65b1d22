// SPDX-License-Identifier: Apache-2.0

const separator = String.raw`(?:[/\\]|%2f|%5c)`;
const dotSegment = new RegExp(String.raw`(?:^|${separator})(?:\.|%2e){1,2}(?=$|${separator}|;|%3b)`, 'i');

/**
 * True when a server may take `path` for another path: with a segment `.` or `..` that it resolves, in any of the spellings
 * that servers are known to accept (`%2e`, `%2f`, `\`, `..;`). The query does not count.
 */
export function hasDotSegment(path: string): boolean {
  const query = path.indexOf('?');
  return dotSegment.test(query === -1 ? path : path.slice(0, query));
}
