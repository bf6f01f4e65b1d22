// SPDX-License-Identifier: Apache-2.0
import { statSync } from 'node:fs';

const checkIntervalMs = 1_000;

const stampOf = (paths: readonly string[]): string =>
  paths
    .map((path) => {
      const stat = statSync(path, { throwIfNoEntry: false });
      return stat === undefined ? 'none' : `${stat.ino} ${stat.mtimeMs} ${stat.size}`;
    })
    .join();

/**
 * Looks at files every second and tells when any of them is another than before; half-written files are told of again when
 * they are whole. The result ends that.
 */
export function watchFiles(paths: readonly string[], onChange: () => void): () => void {
  let stamp = stampOf(paths);
  const timer = setInterval(() => {
    const found = stampOf(paths);
    if (found === stamp) return;
    stamp = found;
    onChange();
  }, checkIntervalMs).unref();
  return () => clearInterval(timer);
}
