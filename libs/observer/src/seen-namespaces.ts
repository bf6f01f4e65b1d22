// SPDX-License-Identifier: Apache-2.0
import type { Flow } from '@weir/flow';
import type { observer } from '@weir/proto';

const keptMs = 3_600_000;

/** Namespaces that flows of the last hour came from or went to. */
export interface SeenNamespaces {
  add(flow: Flow): void;
  /** By cluster, then by name. */
  list(): observer.Namespace.$Properties[];
}

/** See {@link SeenNamespaces}. */
export function createSeenNamespaces(now: () => number = Date.now): SeenNamespaces {
  const seenMs = new Map<string, number>();
  const expire = (): void => {
    const oldest = now() - keptMs;
    for (const [key, at] of seenMs) if (at < oldest) seenMs.delete(key);
  };
  return {
    add({ source, destination }) {
      for (const end of [source, destination]) {
        if (end?.namespace) seenMs.set(`${end.clusterName ?? ''}/${end.namespace}`, now());
      }
    },
    list() {
      expire();
      return [...seenMs.keys()].toSorted().map((key) => {
        const slash = key.indexOf('/');
        return { cluster: key.slice(0, slash), namespace: key.slice(slash + 1) };
      });
    },
  };
}
