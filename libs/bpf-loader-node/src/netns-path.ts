// SPDX-License-Identifier: Apache-2.0
import type { NetworkNamespace } from './network-namespace.ts';

/** A network namespace that is held open, or the path of one, such as "/run/netns/x". */
export type NetnsReference = NetworkNamespace | string;

/**
 * A path by which this process can enter the namespace; "" for its own. By its descriptor if it is held open, because it
 * may be held longer than its path exists.
 */
export function enterablePath(netns: NetnsReference | undefined): string {
  if (netns === undefined) return '';
  return typeof netns === 'string' ? netns : `/proc/self/fd/${netns.fd}`;
}
