// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import type { LogContent, SharedLog } from '@weir/shared-log';
import type { Logger } from '@weir/telemetry';
import { changesFromEntry, entryFromChanges, type NodePodRanges, type RangeChange } from './range-change.ts';
import { type ClusterPools, createRangeTable, type RangeRequest, type RangeTable } from './range-table.ts';

/**
 * Which node has which ranges, in a log that all operators share. Every change is one that was decided on all that came before it:
 * whoever has missed something is refused by the log, reads it, and decides anew. So two that believe to lead hand out
 * nothing twice.
 */
export interface RangeLedger {
  readonly table: Pick<RangeTable, 'get' | 'all' | 'size'>;
  /** Reads what others have written. UNAVAILABLE when the store is away. */
  refresh(): Promise<void>;
  /** The node's ranges, new ones if it has none. RESOURCE_EXHAUSTED, UNAVAILABLE. */
  acquire(request: RangeRequest): Promise<NodePodRanges>;
  /** Writes down what a node has announced without being given it, unless it is somebody else's or of no pool. */
  adopt(node: string, ranges: NodePodRanges): Promise<void>;
  /** Takes the ranges of a node, if they are still these. */
  release(node: string, ranges: NodePodRanges): Promise<void>;
  close(): void;
}

export interface RangeLedgerOptions {
  readonly log: SharedLog;
  readonly pools: ClusterPools;
  readonly logger: Logger;
  /** 256 by default. */
  readonly entriesPerSnapshot?: number;
}

const attemptsMax = 16;

/** The table in memory, and its way to the log; for one call at a time. */
function createReplica({ log, pools, logger, entriesPerSnapshot }: Required<RangeLedgerOptions>) {
  let table = createRangeTable(pools);
  let position: LogContent['position'] | undefined;

  const take = (entry: string): void => changesFromEntry(entry).forEach(table.apply);
  const load = async (): Promise<void> => {
    const content = await log.load();
    table = createRangeTable(pools);
    if (content.snapshot !== undefined) take(content.snapshot);
    content.entries.forEach(take);
    position = content.position;
  };
  const catchUp = async (): Promise<void> => {
    if (position === undefined) return load();
    try {
      const { entries } = await log.read(position);
      entries.forEach(take);
      position = { ...position, sequence: position.sequence + entries.length };
    } catch (error) {
      // The next entry is gone, or the whole log.
      if (WeirError.from(error).code !== 'FAILED_PRECONDITION') throw error;
      logger.warn({ error }, 'The log of pod ranges is read anew');
      await load();
    }
  };
  const compactAtTimes = (): void => {
    if (position === undefined || position.sequence % entriesPerSnapshot !== 0) return;
    const assigned = [...table.all()].map(([node, ranges]): RangeChange => ({ kind: 'assign', node, ranges }));
    log.compact(position.sequence, entryFromChanges(assigned)).catch((error: unknown) => {
      logger.warn({ error }, 'Cannot write a snapshot of the log of pod ranges, trying again later');
    });
  };
  /** Decides on the newest state until the log takes it. */
  const change = async (decide: () => RangeChange | undefined): Promise<void> => {
    for (let attempt = 1; attempt <= attemptsMax; attempt += 1) {
      await catchUp();
      const decided = decide();
      if (decided === undefined || position === undefined) return;
      if (await log.append(position, entryFromChanges([decided]))) {
        table.apply(decided);
        position = { ...position, sequence: position.sequence + 1 };
        return compactAtTimes();
      }
    }
    throw new WeirError('UNAVAILABLE', `Others were faster ${attemptsMax} times: try again`);
  };
  return {
    get table() {
      return table;
    },
    catchUp,
    change,
  };
}

/** Makes the ledger; nothing is read yet. */
export function createRangeLedger({ log, pools, logger, entriesPerSnapshot = 256 }: RangeLedgerOptions): RangeLedger {
  const replica = createReplica({ log, pools, logger, entriesPerSnapshot });
  const { catchUp, change } = replica;
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <Result>(run: () => Promise<Result>): Promise<Result> => {
    const result = last.then(run);
    last = result.catch(() => undefined);
    return result;
  };

  return {
    get table() {
      return replica.table;
    },
    refresh: () => inTurn(catchUp),
    acquire: (request) =>
      inTurn(async () => {
        const { node } = request;
        await change(() =>
          replica.table.get(node) === undefined
            ? { kind: 'assign', node, ranges: replica.table.choose(request) }
            : undefined,
        );
        return replica.table.get(node) as NodePodRanges;
      }),
    adopt: (node, ranges) =>
      inTurn(() =>
        change(() =>
          replica.table.get(node) === undefined && replica.table.isFree(ranges)
            ? { kind: 'assign', node, ranges }
            : undefined,
        ),
      ),
    release: (node, ranges) =>
      inTurn(() => change(() => (replica.table.get(node) === ranges ? { kind: 'release', node } : undefined))),
    close: () => log.close(),
  };
}
