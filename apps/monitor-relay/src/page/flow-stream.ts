// SPDX-License-Identifier: Apache-2.0
import type { Writable } from 'node:stream';
import { observer } from '@weir/proto';
import type { NodePool } from '../node-pool.ts';
import { type FlowRow, rowOf } from './flow-row.ts';
import { createNodeStates, type NodeState } from './node-states.ts';

/** A line of the stream. A line without anything says that the stream lives. */
export interface StreamLine {
  /** The relay's clock. */
  readonly nowMs: number;
  readonly rows?: readonly FlowRow[];
  /** Flows that this reader has not got since the line before: here, because it is slow, and before, because somebody was. */
  readonly lost?: { readonly here: number; readonly before: number };
  readonly nodes?: readonly NodeState[];
  /** Whether anybody tells the relay of nodes. */
  readonly isTold?: boolean;
}

/** What has become of flows for pages. */
export interface PageTraffic {
  readers: number;
  flows: number;
  lost: number;
  refused: number;
}

export interface FlowStreamOptions {
  /** Responses to GetFlows, encoded. */
  readonly responses: AsyncIterable<Buffer>;
  readonly pool: Pick<NodePool, 'list' | 'isListening'>;
  readonly traffic: PageTraffic;
  readonly signal: AbortSignal;
}

const lineIntervalMs = 100;
const beatIntervalMs = 5_000;
/** Flows that wait for a browser that does not take them. Beyond it they are dropped, all at once: it is shown what is new. */
export const rowsWaitingMax = 4_096;

/**
 * Writes flows as lines of JSON, ten a second at most, until they end or the signal aborts. Never waits for the reader: what
 * that does not take in time is lost, and it is told how much.
 */
export async function streamFlows(output: Writable, options: FlowStreamOptions): Promise<void> {
  const { responses, pool, traffic, signal } = options;
  const states = createNodeStates(pool);
  let rows: FlowRow[] = [];
  let lost = { here: 0, before: 0 };
  let isTaking = true;
  let writtenMs = -Infinity;

  const write = (): void => {
    if (!isTaking) return;
    const line: StreamLine = {
      nowMs: Date.now(),
      ...(rows.length > 0 && { rows }),
      ...(lost.here + lost.before > 0 && { lost }),
      ...states.news(),
    };
    const isBeat = Object.keys(line).length === 1;
    if (isBeat && performance.now() - writtenMs < beatIntervalMs) return;
    [rows, lost, writtenMs] = [[], { here: 0, before: 0 }, performance.now()];
    traffic.flows += line.rows?.length ?? 0;
    isTaking = output.write(`${JSON.stringify(line)}\n`);
  };
  const onDrain = (): void => void (isTaking = true);
  const keep = (row: FlowRow): void => {
    if (rows.length >= rowsWaitingMax) {
      lost.here += rows.length;
      traffic.lost += rows.length;
      rows = [];
    }
    rows.push(row);
  };

  output.on('drain', onDrain);
  const timer = setInterval(write, lineIntervalMs);
  traffic.readers += 1;
  try {
    write();
    for await (const bytes of responses) {
      const { flow, nodeStatus, lostEvents, nodeName } = observer.GetFlowsResponse.decode(bytes);
      if (flow) {
        states.gave(nodeName);
        keep(rowOf(flow));
      } else if (nodeStatus) states.say(nodeStatus);
      else if (lostEvents) lost.before += lostEvents.numEventsLost ?? 0;
      if (signal.aborted) return;
    }
    write();
  } finally {
    clearInterval(timer);
    output.off('drain', onDrain);
    traffic.readers -= 1;
  }
}
