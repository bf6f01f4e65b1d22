// SPDX-License-Identifier: Apache-2.0
import { noUndo, type UndoLog } from './undo-log.ts';

/** Which node holds which identity, how long its lease runs, and since when an identity is held by nobody. */
export interface ReferenceTable {
  readonly nodeCount: number;
  readonly referenceCount: number;
  isHeld(node: string, id: number): boolean;
  heldBy(node: string): ReadonlySet<number>;
  countOf(id: number): number;
  hasLease(node: string): boolean;
  /** Begins a lease if the node has none that still runs. */
  ensureLease(node: string, nowMs: number): void;
  /** Begins the node's lease anew. */
  renew(node: string, nowMs: number): void;
  add(node: string, id: number): void;
  remove(reference: { readonly node: string; readonly id: number }, nowMs: number): void;
  /** Forgets a node; it holds nothing any more. */
  removeNode(node: string): void;
  isExpired(node: string, nowMs: number): boolean;
  expiredNodes(nowMs: number): string[];
  /** States that an identity exists which nobody holds from now on. */
  addUnreferenced(id: number, nowMs: number): void;
  /** States that an identity is gone. */
  forget(id: number): void;
  /** Identities held by nobody for at least `graceMs`. */
  unreferencedFor(graceMs: number, nowMs: number): Iterable<number>;
  /** Who holds what. */
  all(): { readonly node: string; readonly id: number }[];
  /** Begins all leases and graces anew: until now nobody could renew or take anything. Who holds nothing has none. */
  beginAnew(nowMs: number): void;
}

const nothing: ReadonlySet<number> = new Set();

export interface ReferenceTableOptions {
  readonly leaseMs: number;
  /** Takes back who holds what; a lease that was prolonged stays so. */
  readonly undo?: UndoLog;
}

/** Makes an empty table. Times are on any clock that never goes back. */
export function createReferenceTable({ leaseMs, undo = noUndo }: ReferenceTableOptions): ReferenceTable {
  const holdings = createHoldings();
  const { held, counts, link, unlink } = holdings;
  const leaseEndMs = new Map<string, number>();
  const unreferencedSinceMs = new Map<number, number>();

  const setUnreferenced = (id: number, sinceMs: number | undefined): void => {
    if (sinceMs === undefined) unreferencedSinceMs.delete(id);
    else unreferencedSinceMs.set(id, sinceMs);
  };

  return {
    get nodeCount() {
      return leaseEndMs.size;
    },
    get referenceCount() {
      return holdings.count;
    },
    isHeld: (node, id) => held.get(node)?.has(id) === true,
    heldBy: (node) => held.get(node) ?? nothing,
    countOf: (id) => counts.get(id) ?? 0,
    hasLease: (node) => leaseEndMs.has(node),
    ensureLease(node, nowMs) {
      if ((leaseEndMs.get(node) ?? nowMs) <= nowMs) leaseEndMs.set(node, nowMs + leaseMs);
    },
    renew: (node, nowMs) => void leaseEndMs.set(node, nowMs + leaseMs),
    add(node, id) {
      if (held.get(node)?.has(id) === true) return;
      const sinceMs = unreferencedSinceMs.get(id);
      link(node, id);
      unreferencedSinceMs.delete(id);
      undo.record(() => {
        unlink(node, id);
        setUnreferenced(id, sinceMs);
      });
    },
    remove({ node, id }, nowMs) {
      if (held.get(node)?.has(id) !== true) return;
      if (unlink(node, id) === 0) unreferencedSinceMs.set(id, nowMs);
      undo.record(() => {
        link(node, id);
        unreferencedSinceMs.delete(id);
      });
    },
    removeNode(node) {
      const endMs = leaseEndMs.get(node);
      held.delete(node);
      leaseEndMs.delete(node);
      if (endMs !== undefined) undo.record(() => leaseEndMs.set(node, endMs));
    },
    isExpired: (node, nowMs) => (leaseEndMs.get(node) ?? Infinity) <= nowMs,
    expiredNodes: (nowMs) => [...leaseEndMs].filter(([, endMs]) => endMs <= nowMs).map(([node]) => node),
    addUnreferenced: (id, nowMs) => void unreferencedSinceMs.set(id, nowMs),
    forget(id) {
      const sinceMs = unreferencedSinceMs.get(id);
      unreferencedSinceMs.delete(id);
      undo.record(() => setUnreferenced(id, sinceMs));
    },
    *unreferencedFor(graceMs, nowMs) {
      for (const [id, sinceMs] of unreferencedSinceMs) if (nowMs - sinceMs >= graceMs) yield id;
    },
    all: () => [...held].flatMap(([node, ids]) => [...ids].map((id) => ({ node, id }))),
    beginAnew(nowMs) {
      leaseEndMs.clear();
      for (const [node, ids] of held) if (ids.size > 0) leaseEndMs.set(node, nowMs + leaseMs);
      for (const id of unreferencedSinceMs.keys()) unreferencedSinceMs.set(id, nowMs);
    },
  };
}

/** Who holds what, from both sides. */
function createHoldings() {
  const held = new Map<string, Set<number>>();
  const counts = new Map<number, number>();
  let count = 0;
  return {
    held,
    counts,
    get count() {
      return count;
    },
    link(node: string, id: number): void {
      held.set(node, (held.get(node) ?? new Set()).add(id));
      counts.set(id, (counts.get(id) ?? 0) + 1);
      count += 1;
    },
    /** How many are left that hold it. */
    unlink(node: string, id: number): number {
      held.get(node)?.delete(id);
      const left = (counts.get(id) ?? 1) - 1;
      if (left > 0) counts.set(id, left);
      else counts.delete(id);
      count -= 1;
      return left;
    },
  };
}
