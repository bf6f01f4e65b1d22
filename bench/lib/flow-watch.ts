// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { WeirError } from '@weir/errors';
import { inNamespace } from './netbench.ts';

const program = fileURLToPath(new URL('../../dist/flowwatch', import.meta.url));
const changeTimeoutMs = 30_000;

/** Whether datagrams get through. */
export type Fate = 'open' | 'closed';

/** Datagrams of a whole watch. */
export interface FlowTotals {
  readonly sent: number;
  /** Not answered at all, however late. */
  readonly lost: number;
}

/** Watches the way to a server that echoes datagrams, by one after the other at a steady rate. */
export interface FlowWatch {
  /**
   * When the first datagram was sent that had this fate, at or after a moment of `process.hrtime.bigint()`. TIMEOUT when
   * there is none for 30 s.
   */
  change(to: Fate, afterNs: bigint): Promise<bigint>;
  stop(): Promise<FlowTotals>;
}

interface Change {
  readonly fate: string;
  readonly atNs: bigint;
}

/** Starts to watch; see flowwatch.c. */
export function startFlowWatch(options: {
  readonly netns: string;
  readonly address: string;
  readonly port: number;
  /** 200 unless told. */
  readonly intervalUs?: number;
}): FlowWatch {
  const { netns, address, port, intervalUs = 200 } = options;
  const [file, ...args] = inNamespace(netns, [program, address, String(port), String(intervalUs)]);
  const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  const changes: Change[] = [];
  let wake = Promise.withResolvers<undefined>();
  let totals: FlowTotals = { sent: 0, lost: 0 };
  const lines = createInterface({ input: child.stdout });
  const ended = once(lines, 'close');
  lines.on('line', (line) => {
    const [fate = '', atNs = '', lost = ''] = line.split(' ');
    if (fate === 'sent') totals = { sent: Number(atNs), lost: Number(lost) };
    if (fate === 'sent') return;
    changes.push({ fate, atNs: BigInt(atNs) });
    wake.resolve(undefined);
    wake = Promise.withResolvers();
  });
  return {
    async change(to, afterNs) {
      const timeout = AbortSignal.timeout(changeTimeoutMs);
      const late = once(timeout, 'abort');
      for (;;) {
        const found = changes.find(({ fate, atNs }) => fate === to && atNs >= afterNs);
        if (found !== undefined) return found.atNs;
        if (timeout.aborted) {
          throw new WeirError(
            'TIMEOUT',
            `The way to ${address} port ${port} was not ${to} within ${changeTimeoutMs} ms`,
          );
        }
        await Promise.race([wake.promise, late]);
      }
    },
    async stop() {
      child.stdin.end();
      await Promise.all([exited, ended]);
      return totals;
    },
  };
}
