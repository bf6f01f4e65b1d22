// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import type { google } from '@weir/proto';
import { type EventRing, type RecordKind, recordKind } from './event-ring.ts';

type Time = google.protobuf.Timestamp.$Properties;

/** Which records of a ring are asked for, whatever they are. */
export interface RingQuery {
  readonly number: number;
  readonly first: boolean;
  readonly follow: boolean;
  readonly since?: Time | null;
  readonly until?: Time | null;
}

/** What a query finds: a record, or how many of them a slow reader has missed. */
export type Found =
  | { readonly kind: 'record'; readonly number: number }
  | { readonly kind: 'missed'; readonly count: number; readonly firstNs: number; readonly lastNs: number };

export interface RunQueryOptions {
  readonly ring: EventRing;
  readonly query: RingQuery;
  /** Whether a record is one of those that are asked for; only these count towards `number`. */
  readonly isWanted: (number: number) => boolean;
  /** Kinds of records that go to everybody and do not count. */
  readonly always?: ReadonlySet<RecordKind>;
  readonly signal: AbortSignal;
}

const nanoseconds = ({ seconds, nanos }: Time): number => (seconds ?? 0) * 1e9 + (nanos ?? 0);
// So many records are looked at before others get their turn: a few milliseconds of work.
const turnRecords = 1_024;
const missedIntervalMs = 1_000;

const breathe = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Says how many records a reader that has fallen behind was not given, once a second at most. */
function createMissed() {
  let count = 0;
  let firstNs = 0;
  let lastNs = 0;
  let toldMs = -Infinity;
  return {
    add(more: number, range: { firstNs: number; lastNs: number }) {
      if (count === 0) firstNs = range.firstNs;
      lastNs = range.lastNs;
      count += more;
    },
    take(): Found | undefined {
      if (count === 0 || performance.now() - toldMs < missedIntervalMs) return undefined;
      const missed = { kind: 'missed', count, firstNs, lastNs } as const;
      count = 0;
      toldMs = performance.now();
      return missed;
    },
  };
}

/** Record numbers of the last `number` that are wanted, oldest first. */
async function lastWanted({ ring, query, isWanted, always, signal }: RunQueryOptions): Promise<number[]> {
  const found: number[] = [];
  let wanted = 0;
  let looked = 0;
  for (let at = ring.next - 1; at >= ring.oldest && wanted < query.number && !signal.aborted; at--) {
    if (always?.has(ring.kindOf(at))) found.push(at);
    else if (isWanted(at)) {
      wanted += 1;
      found.push(at);
    }
    if (++looked % turnRecords === 0) await breathe();
  }
  return found.reverse();
}

/** Where a query that goes forward begins. */
function beginOf({ ring, query }: RunQueryOptions): number {
  const isLive = query.follow && query.number === 0 && !query.since;
  return isLive ? Math.max(ring.oldest, ring.next - 1) : ring.oldest;
}

async function* forward(options: RunQueryOptions, begin: number): AsyncGenerator<Found> {
  const { ring, query, isWanted, always, signal } = options;
  const sinceNs = query.since ? nanoseconds(query.since) : -Infinity;
  const untilNs = query.until ? nanoseconds(query.until) : Infinity;
  const limit = !query.follow && query.number > 0 ? query.number : Infinity;
  const missed = createMissed();
  let end = ring.next;
  let given = 0;
  let at = begin;
  let lastNs = at > ring.oldest ? ring.timeNsOf(at - 1) : 0;
  while (!signal.aborted && given < limit) {
    if (at >= end) {
      if (!query.follow) return;
      await ring.waitFor(at, signal);
      end = ring.next;
      continue;
    }
    if (at < ring.oldest) {
      missed.add(ring.oldest - at, { firstNs: lastNs, lastNs: ring.timeNsOf(ring.oldest) });
      at = ring.oldest;
    }
    const told = missed.take();
    if (told !== undefined) {
      yield told;
      continue;
    }
    lastNs = ring.timeNsOf(at);
    if (always?.has(ring.kindOf(at))) yield { kind: 'record', number: at };
    else if (lastNs > untilNs) return;
    else if (lastNs >= sinceNs && isWanted(at)) {
      given += 1;
      yield { kind: 'record', number: at };
    }
    if (++at % turnRecords === 0) await breathe();
  }
}

/**
 * Finds what a query asks for, oldest first. `first` takes from the oldest record on, `since` from a time on, anything else
 * from so many records back; `follow` goes on for ever. Rejects `first` with `follow`.
 */
export async function* runQuery(options: RunQueryOptions): AsyncGenerator<Found> {
  const { ring, query } = options;
  if (query.first && query.follow) throw new WeirError('INVALID_ARGUMENT', 'first cannot be specified with follow');
  const isBackward = !query.first && !query.since && query.number > 0;
  if (!isBackward) return yield* forward(options, beginOf(options));
  const untilNs = query.until ? nanoseconds(query.until) : Infinity;
  const end = ring.next;
  for (const number of await lastWanted(options)) {
    // Overwritten while this reader was slow; whoever follows is told below.
    if (number < ring.oldest) continue;
    if (ring.timeNsOf(number) > untilNs && !options.always?.has(ring.kindOf(number))) return;
    yield { kind: 'record', number };
  }
  if (query.follow) yield* forward(options, end);
}

/** Records that are flows. */
export const isFlowKind = (kind: RecordKind): boolean => kind === recordKind.raw || kind === recordKind.value;
