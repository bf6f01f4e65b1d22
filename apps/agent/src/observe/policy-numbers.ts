// SPDX-License-Identifier: Apache-2.0
import type { flow } from '@weir/proto';

/** The policies of a flow. */
export type Policies = readonly flow.Policy.$Properties[];

// Numbers are remembered for so long that no flow in the ring can have one that is forgotten.
const numbersMax = 131_072;
const noPolicies: Policies = [];
const noKeys: readonly string[] = [];

/** A policy by its key: `kind/namespace/name`, or `kind/name`. */
export function policyOfKey(key: string): flow.Policy.$Properties {
  const [kind = '', ...rest] = key.split('/');
  const name = rest.pop() ?? '';
  return { kind, namespace: rest.join('/'), name };
}

/** What the numbers of policy entries, or of rule sets, stand for. */
export interface PolicyNumbers {
  set(number: number, keys: readonly string[]): void;
  keys(number: number): readonly string[];
  /** The same list every time. */
  policies(number: number): Policies;
}

/** What numbers mean, with the oldest forgotten first. */
export function createPolicyNumbers(): PolicyNumbers {
  const keys = new Map<number, readonly string[]>();
  const policies = new Map<number, Policies>();
  return {
    set(number: number, value: readonly string[]) {
      keys.delete(number);
      keys.set(number, value);
      policies.delete(number);
      if (keys.size <= numbersMax) return;
      const [oldest] = keys.keys();
      if (oldest === undefined) return;
      keys.delete(oldest);
      policies.delete(oldest);
    },
    keys: (number: number): readonly string[] => keys.get(number) ?? noKeys,
    policies(number: number): Policies {
      const known = policies.get(number);
      if (known !== undefined) return known;
      const found = keys.get(number)?.map(policyOfKey) ?? noPolicies;
      policies.set(number, found);
      return found;
    },
  };
}
