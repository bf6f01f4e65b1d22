// SPDX-License-Identifier: Apache-2.0
import { assert } from '@weir/errors';
import type { FlowPolicy } from '../flows/flow-table.ts';
import type { RequestHead } from '../http/request-head.ts';
import type { HeaderDifference } from './header-rule.ts';
import type { HttpCall } from './rule-set.ts';

/** What was decided about one kind of request. */
export interface Judgement {
  /** Of the rule sets; the judgement holds for no other. */
  readonly generation: number;
  readonly egressRuleSet: number;
  readonly ingressRuleSet: number;
  readonly call: HttpCall;
  /** Why the request is refused; undefined when it is allowed. */
  readonly reason: string | undefined;
  /** The rule set that refuses, 0 when none does. */
  readonly deniedBy: number;
  /** What of the request's headers was not as rules want it. */
  readonly differences: readonly HeaderDifference[];
  /** The head to forward instead of the one that came; undefined: the one that came. */
  readonly rewrittenHead: Buffer | undefined;
  /** Names of headers that the body's trailers must not bring in again. */
  readonly guardedNames: ReadonlySet<string>;
  /** Room for the access log, which writes the same bytes for every such request. */
  logFields: Uint8Array | undefined;
}

/** Judgements by the bytes of method, target and host: a hit reads these once more and allocates nothing. */
export interface JudgementCache {
  find(head: RequestHead, bytes: Uint8Array, policy: FlowPolicy): Judgement | undefined;
  /** Takes the place of the least recently used judgement among those it collides with; too long a key is not kept. */
  add(head: RequestHead, bytes: Uint8Array, judgement: Judgement): void;
}

interface Entry {
  readonly hash: number;
  /** Method, space, target, host. */
  readonly key: Uint8Array;
  readonly lineLength: number;
  readonly judgement: Judgement;
}

interface RuleSetPair {
  readonly egressRuleSet: number;
  readonly ingressRuleSet: number;
}

const ways = 4;

/**
 * A set-associative table, so that neither the number of keys nor keys that collide on purpose make it grow or slow down:
 * each key has four places. `entriesMax` is a power of two.
 */
export function createJudgementCache({ entriesMax = 8192, keyBytesMax = 1024 } = {}): JudgementCache {
  assert(entriesMax >= ways && (entriesMax & (entriesMax - 1)) === 0, `${entriesMax} entries are not a power of two`);
  const entries = new Array<Entry | undefined>(entriesMax).fill(undefined);
  const placeOf = (hash: number): number => (hash & (entriesMax / ways - 1)) * ways;

  return {
    find(head, bytes, policy) {
      const hash = hashCall(head, bytes, policy);
      const place = placeOf(hash);
      for (let i = place; i < place + ways; i++) {
        const entry = entries[i];
        if (entry === undefined) return undefined;
        if (entry.hash === hash && isKeyOf(entry, head, bytes) && isPair(entry.judgement, policy)) {
          entries[i] = entries[place];
          entries[place] = entry;
          return entry.judgement;
        }
      }
      return undefined;
    },
    add(head, bytes, judgement) {
      const key = keyFromHead(head, bytes);
      if (key.length > keyBytesMax) return;
      const hash = hashCall(head, bytes, judgement);
      const place = placeOf(hash);
      entries.copyWithin(place + 1, place, place + ways - 1);
      entries[place] = { hash, key, lineLength: head.targetEnd - head.start, judgement };
    },
  };
}

const isPair = (a: RuleSetPair, b: RuleSetPair): boolean =>
  a.egressRuleSet === b.egressRuleSet && a.ingressRuleSet === b.ingressRuleSet;

/** FNV-1a. */
function hashCall(head: RequestHead, bytes: Uint8Array, pair: RuleSetPair): number {
  const prime = 0x01000193;
  let hash = Math.imul(Math.imul(0x811c9dc5 ^ pair.egressRuleSet, prime) ^ pair.ingressRuleSet, prime);
  for (let i = head.start; i < head.targetEnd; i++) hash = Math.imul(hash ^ (bytes[i] as number), prime);
  for (let i = head.hostStart; i < head.hostEnd; i++) hash = Math.imul(hash ^ (bytes[i] as number), prime);
  // The low bits of the last byte would otherwise choose the place alone.
  return hash ^ (hash >>> 15);
}

function isKeyOf(entry: Entry, head: RequestHead, bytes: Uint8Array): boolean {
  const { key, lineLength } = entry;
  if (head.targetEnd - head.start !== lineLength) return false;
  if (head.hostEnd - head.hostStart !== key.length - lineLength) return false;
  for (let i = 0; i < lineLength; i++) if (key[i] !== bytes[head.start + i]) return false;
  for (let i = lineLength; i < key.length; i++) if (key[i] !== bytes[head.hostStart + i - lineLength]) return false;
  return true;
}

function keyFromHead(head: RequestHead, bytes: Uint8Array): Uint8Array {
  const lineLength = head.targetEnd - head.start;
  const key = new Uint8Array(lineLength + head.hostEnd - head.hostStart);
  key.set(bytes.subarray(head.start, head.targetEnd));
  key.set(bytes.subarray(head.hostStart, head.hostEnd), lineLength);
  return key;
}
