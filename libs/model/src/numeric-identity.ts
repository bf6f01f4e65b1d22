// SPDX-License-Identifier: Apache-2.0

/**
 * What a numeric identity stands for, told from the number alone:
 * - `unknown`: 0; in a policy map it is the wildcard "any"
 * - `reserved`: 1–99, fixed by Weir; `well-known`: 100–127, fixed cluster components; `user-reserved`: 128–255
 * - `cluster`: 256–65535, handed out by the identity-allocator
 * - `remote-cluster`: 65536–2^24-1, another cluster's number shifted by its cluster id
 * - `local-cidr`: 2^24+1–2^25-1, a prefix, this node only; `local-node`: 2^25–2^25+2^24-1, another node, this node only
 * - `invalid`: nothing has such a number
 */
export type IdentityScope =
  | 'unknown'
  | 'reserved'
  | 'well-known'
  | 'user-reserved'
  | 'cluster'
  | 'remote-cluster'
  | 'local-cidr'
  | 'local-node'
  | 'invalid';

/** The first and the last number of each scope that numbers are handed out from. */
export const identityRange = {
  cluster: { min: 256, max: 65_535 },
  localCidr: { min: 2 ** 24 + 1, max: 2 ** 25 - 1 },
  localNode: { min: 2 ** 25, max: 2 ** 25 + 2 ** 24 - 1 },
} as const;

/** The number that is the wildcard "any peer" in a policy map and belongs to no endpoint. */
export const anyIdentity = 0;

/**
 * The class of all pods, of this cluster and of others, as a peer in a policy map: it is looked up for every identity of
 * the scopes `cluster` and `remote-cluster`, and belongs to no endpoint.
 */
export const clusterPeer = 0xffff_ffff;

/** Where a number lies. Total: every value, however wrong, has an answer. */
export function identityScope(id: number): IdentityScope {
  if (!Number.isInteger(id) || id < 0 || id > identityRange.localNode.max || id === 2 ** 24) return 'invalid';
  if (id === anyIdentity) return 'unknown';
  if (id < 100) return 'reserved';
  if (id < 128) return 'well-known';
  if (id <= 255) return 'user-reserved';
  if (id <= identityRange.cluster.max) return 'cluster';
  if (id < 2 ** 24) return 'remote-cluster';
  return id <= identityRange.localCidr.max ? 'local-cidr' : 'local-node';
}

/** Whether an identity is one of those that {@link clusterPeer} stands for. */
export function isClusterIdentity(id: number): boolean {
  const scope = identityScope(id);
  return scope === 'cluster' || scope === 'remote-cluster';
}
