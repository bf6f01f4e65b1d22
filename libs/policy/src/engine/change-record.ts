// SPDX-License-Identifier: Apache-2.0
import type { PolicyEntry, PolicyEntryKey } from '../policy-entry.ts';
import { type Decision, sameDecision } from './decision.ts';
import type { PortTable } from './port-table.ts';

/** What entries a subject gained and lost during a change, in the order in which the kernel should be told. */
export interface EntryChanges {
  readonly upserted: readonly PolicyEntry[];
  readonly deleted: readonly PolicyEntryKey[];
}

/**
 * Remembers what entries were before a change, so that at its end only those that really differ are reported, however
 * often they changed in between.
 */
export interface ChangeRecord {
  /** Call before a change to what the peer's entry is made of. */
  touch(table: PortTable, peer: number): void;
  /** The same for a peer that came into being just now: it had no entry. */
  touchNew(table: PortTable, peer: number): void;
  /** What really differs from before, by subject. */
  collect(): Map<number, EntryChanges>;
}

/** The key of a peer's entry in a table. */
export function entryKey(table: PortTable, peerIdentity: number): PolicyEntryKey {
  const { owner, protocol, port, prefixLength } = table;
  return { direction: owner.direction, peerIdentity, protocol, port, portPrefixLength: prefixLength };
}

/** The more an entry forbids, the sooner it has to be there and the later it may go. */
const strictness = { deny: 0, redirect: 1, allow: 2 } as const;

interface Difference {
  readonly key: PolicyEntryKey;
  readonly before: Decision | undefined;
  readonly after: Decision | undefined;
}

function entryChanges(differences: readonly Difference[]): EntryChanges {
  const upserted = differences.flatMap(({ key, after }) => (after === undefined ? [] : [{ ...key, ...after }]));
  const gone = differences.flatMap(({ key, before, after }) =>
    before === undefined || after !== undefined ? [] : [{ key, verdict: before.verdict }],
  );
  return {
    upserted: upserted.sort((a, b) => strictness[a.verdict] - strictness[b.verdict]),
    deleted: gone.sort((a, b) => strictness[b.verdict] - strictness[a.verdict]).map(({ key }) => key),
  };
}

/** Makes an empty record. */
export function createChangeRecord(): ChangeRecord {
  const before = new Map<PortTable, Map<number, Decision | undefined>>();

  function peersOf(table: PortTable): Map<number, Decision | undefined> {
    const known = before.get(table);
    if (known !== undefined) return known;
    const peers = new Map<number, Decision | undefined>();
    before.set(table, peers);
    return peers;
  }

  return {
    touch(table, peer) {
      const peers = peersOf(table);
      if (!peers.has(peer)) peers.set(peer, table.owner.decision(table, peer));
    },
    touchNew(table, peer) {
      const peers = peersOf(table);
      if (!peers.has(peer)) peers.set(peer, undefined);
    },
    collect() {
      const bySubject = new Map<number, Difference[]>();
      for (const [table, peers] of before) {
        const { subject } = table.owner;
        const differences = bySubject.get(subject) ?? [];
        bySubject.set(subject, differences);
        for (const [peer, old] of peers) {
          const now = table.owner.decision(table, peer);
          if (sameDecision({ a: old, b: now })) continue;
          differences.push({ key: entryKey(table, peer), before: old, after: now });
        }
      }
      return new Map([...bySubject].map(([subject, differences]) => [subject, entryChanges(differences)]));
    },
  };
}
