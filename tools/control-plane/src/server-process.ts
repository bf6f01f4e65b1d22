// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { WeirError } from '@weir/errors';

/** A server that can be started more than once. */
export interface ServerProcess {
  /** Waits until it answers. */
  start(): Promise<void>;
  /** Kills it at once. */
  stop(): Promise<void>;
}

export interface ServerProcessOptions {
  readonly program: string;
  readonly args: readonly string[];
  /** Where it writes to. */
  readonly log: string;
  /** May also throw while it is not. */
  readonly isReady: () => Promise<boolean>;
}

const startDeadlineMs = 60_000;
const excerptChars = 600;

/** It ends with this process. */
export function createServerProcess({ program, args, log, isReady }: ServerProcessOptions): ServerProcess {
  let child: ChildProcess | undefined;
  const endWithUs = (): void => void child?.kill('SIGKILL');
  return {
    async start() {
      const output = openSync(log, 'a');
      const started = spawn(program, args, { stdio: ['ignore', output, output] });
      closeSync(output);
      child = started;
      process.once('exit', endWithUs);
      const untilMs = performance.now() + startDeadlineMs;
      while (!(await isReady().catch(() => false))) {
        if (started.exitCode !== null || performance.now() > untilMs) {
          const said = readFileSync(log, 'utf8').slice(-excerptChars);
          throw new WeirError('UNAVAILABLE', `${program} does not start: ${said}`);
        }
        await sleep(100);
      }
    },
    async stop() {
      const dying = child;
      child = undefined;
      process.removeListener('exit', endWithUs);
      if (dying === undefined || dying.exitCode !== null || dying.signalCode !== null) return;
      const ended = new Promise((resolve) => dying.once('exit', resolve));
      dying.kill('SIGKILL');
      await ended;
    },
  };
}
