// SPDX-License-Identifier: Apache-2.0
import type { ClusterNode } from '@weir/identity-client';
import {
  type Cidr,
  createLabelSet,
  formatIpAddress,
  identityRange,
  type LabelSet,
  reservedIdentity,
} from '@weir/model';
import { type LabelledIdentity, type Policy, policyNodeLabels } from '@weir/policy';

/** What tells nodes apart. */
export type NodeDescription = Pick<ClusterNode, 'addresses' | 'labels'>;

/**
 * What other nodes are known as: `remote-node`, or a number of this node's own where policies tell nodes apart by labels
 * that it has. Nodes that are the same to all policies have one number, so that there are few of them, however many nodes.
 */
export interface NodeIdentities {
  /** Notes what policies look at from now on. True: nodes may be known by other numbers than before. */
  use(change: { readonly upsert: readonly Policy[]; readonly delete: readonly string[] }): boolean;
  /** What a node is known as; the first of its kind is given a number. */
  numberOf(node: NodeDescription): number;
  /** Numbers that have been given since the last call: the engine is to be told of them before the kernel. */
  takeNew(): readonly LabelledIdentity[];
  /** Numbers that none of these nodes has. */
  unused(nodes: Iterable<NodeDescription>): readonly number[];
  forget(numbers: readonly number[]): void;
  /** Notes what nodes were known as under an agent before, by their addresses. */
  adopt(found: readonly { readonly range: Cidr; readonly identity: number }[]): void;
  labelsOf(identity: number): LabelSet | undefined;
  all(): Iterable<readonly [number, LabelSet]>;
}

const { min, max } = identityRange.localNode;
const addressBits = 128;

/** The labels of nodes that policies look at. */
function createLabelNames() {
  const namedBy = new Map<string, readonly string[]>();
  let keys: readonly string[] = [];
  return {
    get keys() {
      return keys;
    },
    use({ upsert, delete: gone }: Parameters<NodeIdentities['use']>[0]): boolean {
      for (const key of gone) namedBy.delete(key);
      for (const policy of upsert) {
        const named = policyNodeLabels(policy);
        if (named.length === 0) namedBy.delete(policy.key);
        else namedBy.set(policy.key, named);
      }
      const now = [...new Set([...namedBy.values()].flat())].sort();
      const hasChanged = now.join() !== keys.join();
      keys = now;
      return hasChanged;
    },
  };
}

/** Knows no policies and has given no numbers. They are handed out in turn, so that one that was given up rests. */
export function createNodeIdentities(): NodeIdentities {
  const names = createLabelNames();
  const byLabels = new Map<string, number>();
  const byNumber = new Map<number, LabelSet>();
  const before = new Map<string, number>();
  const reserved = new Set<number>();
  let fresh: LabelledIdentity[] = [];
  let next: number = min;

  function labelsFor({ labels = {} }: NodeDescription): LabelSet {
    const named = names.keys.flatMap((key) => {
      const value = labels[key];
      return value === undefined ? [] : [{ source: 'node' as const, key, value }];
    });
    return createLabelSet([{ source: 'reserved', key: 'remote-node', value: '' }, ...named]);
  }

  function freeNumber({ addresses }: NodeDescription): number {
    const former = addresses.flatMap((address) => before.get(address) ?? []).find((number) => !byNumber.has(number));
    if (former !== undefined) return former;
    while (byNumber.has(next) || reserved.has(next)) next = next === max ? min : next + 1;
    return next;
  }

  function give(node: NodeDescription, labels: LabelSet): number {
    const number = freeNumber(node);
    if (number === next) next = next === max ? min : next + 1;
    byLabels.set(labels.key, number);
    byNumber.set(number, labels);
    fresh.push({ id: number, labels });
    return number;
  }

  return {
    use: names.use,
    numberOf(node) {
      const labels = labelsFor(node);
      if (labels.labels.length === 1) return reservedIdentity['remote-node'];
      return byLabels.get(labels.key) ?? give(node, labels);
    },
    takeNew() {
      const taken = fresh;
      fresh = [];
      return taken;
    },
    unused(nodes) {
      const inUse = new Set([...nodes].map((node) => byLabels.get(labelsFor(node).key)));
      return [...byNumber.keys()].filter((number) => !inUse.has(number));
    },
    forget(numbers) {
      for (const number of numbers) {
        const labels = byNumber.get(number);
        if (labels !== undefined) byLabels.delete(labels.key);
        byNumber.delete(number);
      }
    },
    adopt(found) {
      for (const { range, identity } of found) {
        const isNode = identity >= min && identity <= max && range.prefixLength === addressBits;
        if (!isNode) continue;
        before.set(formatIpAddress(range.address), identity);
        reserved.add(identity);
      }
    },
    labelsOf: (identity) => byNumber.get(identity),
    all: () => byNumber.entries(),
  };
}
