// SPDX-License-Identifier: Apache-2.0
import type { FlowEndpoint } from '@weir/flow';
import type { RemotePod } from './thread-messages.ts';
import { createVersions } from './versions.ts';

/** A pod of another node as it was for some time, with what flows say of it, by its identity. */
export interface PodName extends RemotePod {
  readonly ends: Map<number, FlowEndpoint>;
}

/** The pods of other nodes at any time that flows are kept of. */
export interface PodNames {
  put(pod: RemotePod, atMs: number): void;
  remove(address: string, atMs: number): void;
  find(address: string, timeMs: number): PodName | undefined;
  prune(beforeMs: number): void;
}

/** How many addresses have names at most, some 40 MB of them; flows of any more are told by their labels alone. */
export const podNamesMax = 131_072;

/** Knows none at first. */
export function createPodNames(addressesMax: number = podNamesMax): PodNames {
  const versions = createVersions<string, PodName>();
  return {
    put(pod, atMs) {
      const known = versions.latest(pod.address);
      if (known?.namespace === pod.namespace && known.pod === pod.pod) return;
      if (known === undefined && versions.size >= addressesMax) return;
      versions.put(pod.address, { sinceMs: atMs, value: { ...pod, ends: new Map() } });
    },
    remove(address, atMs) {
      if (versions.latest(address) !== undefined) versions.put(address, { sinceMs: atMs, value: undefined });
    },
    find: versions.at,
    prune: versions.prune,
  };
}
