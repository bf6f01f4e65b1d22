// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import type { ServiceDatapath } from '@weir/datapath-maps';
import { WeirError } from '@weir/errors';

/** Whose sockets are balanced, or why nobody's are. */
export type SocketsState = { readonly cgroup: string } | { readonly reason: string };

/** The first mount of cgroups of version 2 in the text of `/proc/mounts`: the one with all processes in it. */
export function cgroupRoot(mounts: string): string | undefined {
  return /^\S+ (\S+) cgroup2 /m.exec(mounts)?.[1];
}

/**
 * Attaches to the sockets of a cgroup, by default of all processes. A machine that cannot is served packet by packet; a cgroup
 * that was asked for and is not there is an error.
 */
export function attachToSockets(services: ServiceDatapath, wanted: string | undefined): SocketsState {
  const cgroup = wanted ?? cgroupRoot(readFileSync('/proc/mounts', 'utf8'));
  if (cgroup === undefined) return { reason: 'no cgroups of version 2 are mounted' };
  try {
    services.attachSockets(cgroup);
    return { cgroup };
  } catch (error) {
    if (error instanceof WeirError && error.code === 'NOT_SUPPORTED') return { reason: error.message };
    throw error;
  }
}
