// SPDX-License-Identifier: Apache-2.0

/** The pod behind an address, as the nodes of a cluster tell each other. */
export interface ClusterPod {
  readonly identity: number;
  /** Empty, as is `pod`, where nobody has told: by a node of an earlier version. */
  readonly namespace: string;
  readonly pod: string;
}

/** Whether both are the same pod with the same identity. */
export const isSameClusterPod = (a: ClusterPod | undefined, b: ClusterPod): boolean =>
  a?.identity === b.identity && a.pod === b.pod && a.namespace === b.namespace;
