// SPDX-License-Identifier: Apache-2.0
import { anyIdentity, clusterPeer, isClusterIdentity } from '@weir/model';

const anyPeer: readonly number[] = [anyIdentity];
const everyPod: readonly number[] = [clusterPeer, anyIdentity];

/** The peers whose entries are about a peer, the most specific first: the peer, the class that it belongs to, any. */
export function peerLevels(peer: number): readonly number[] {
  if (peer === anyIdentity) return anyPeer;
  if (peer === clusterPeer) return everyPod;
  return isClusterIdentity(peer) ? [peer, clusterPeer, anyIdentity] : [peer, anyIdentity];
}

/** Whether an entry of one peer is about another one, too. */
export function isAbout(pair: { readonly wider: number; readonly peer: number }): boolean {
  const { wider, peer } = pair;
  return wider === anyIdentity || wider === peer || (wider === clusterPeer && isClusterIdentity(peer));
}
