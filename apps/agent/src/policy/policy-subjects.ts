// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { formatNamedPort, type NamedPort } from '@weir/model';

/**
 * Whose policy is whose: pods of one identity share one, as long as they mean the same by the names of their ports. The
 * policy of those without named ports has the number of the identity.
 */
export interface PolicySubjects {
  /** The number of the policy of an identity's pods that have these named ports. Throws RESOURCE_EXHAUSTED. */
  numberOf(identity: number, ports: readonly NamedPort[] | undefined): number;
}

// More than there can be endpoints on a node.
const variantsMax = 2 ** 17;
const step = 2 ** 32;

/** The identity of the pods that have a policy. */
export const identityOfSubject = (subject: number): number => subject % step;

/** Makes an empty one. `inUse` names the policies that endpoints have: the numbers of others may be given again. */
export function createPolicySubjects(inUse: () => Iterable<number>): PolicySubjects {
  const variants = new Map<string, number>();
  const taken = new Set<number>();
  let next = 1;

  function forgetUnused(): void {
    const used = new Set([...inUse()].map((subject) => Math.floor(subject / step)));
    for (const [key, variant] of variants) {
      if (used.has(variant)) continue;
      variants.delete(key);
      taken.delete(variant);
    }
    if (variants.size < variantsMax) return;
    throw new WeirError('RESOURCE_EXHAUSTED', `Pods of this node name their ports in ${variantsMax} different ways`);
  }

  function add(key: string): number {
    if (variants.size >= variantsMax) forgetUnused();
    while (taken.has(next)) next = (next % variantsMax) + 1;
    variants.set(key, next);
    taken.add(next);
    return next;
  }

  return {
    numberOf(identity, ports = []) {
      if (ports.length === 0) return identity;
      const key = ports.map(formatNamedPort).sort().join();
      return identity + step * (variants.get(key) ?? add(key));
    },
  };
}
