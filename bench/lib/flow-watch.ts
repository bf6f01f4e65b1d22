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

/** Watches the way to a server that echoes datagrams, one each 0.2 ms. */
export interface FlowWatch {
  /**
   * When the first datagram was sent that had this fate, at or after a moment of `process.hrtime.bigint()`. TIMEOUT when
   * there is none for 30 s.
   */
  change(to: Fate, afterNs: bigint): Promise<bigint>;
  stop(): Promise<void>;
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
}): FlowWatch {
  const { netns, address, port } = options;
  const [file, ...args] = inNamespace(netns, [program, address, String(port)]);
  const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  const changes: Change[] = [];
  let wake = Promise.withResolvers<undefined>();
  createInterface({ input: child.stdout }).on('line', (line) => {
    const [fate = '', atNs = ''] = line.split(' ');
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
      await exited;
    },
  };
}
