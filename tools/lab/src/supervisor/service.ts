// SPDX-License-Identifier: Apache-2.0
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { createBackoff, type CancelTimer, type Clock } from '@weir/clock';
import type { Argv } from '../machine/run-command.ts';

/** One process to be kept running. */
export interface ServiceSpec {
  /** `node1/agent`. */
  readonly name: string;
  readonly command: Argv;
  /** Standard output and error are appended here. */
  readonly logFile: string;
}

/** How a process ended. */
export interface Exit {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly atMs: number;
}

export type ServiceState =
  /** The process lives, and is to live. */
  | { readonly kind: 'running'; readonly pid: number; readonly startedMs: number }
  /** It ended by itself, and starts again after a pause. */
  | { readonly kind: 'waiting' }
  /** It lives, and was asked to end. */
  | { readonly kind: 'stopping'; readonly pid: number }
  /** It ended on request, and stays so. */
  | { readonly kind: 'stopped' };

/** A process that is started again whenever it ends, until it is stopped. */
export interface Service {
  readonly name: string;
  readonly logFile: string;
  state(): ServiceState;
  /** How often it was started again after it had ended by itself. */
  restarts(): number;
  lastExit(): Exit | undefined;
  /** Starts it now, also in a pause; a running one is left alone. */
  start(): void;
  /** Sends the signal, after 5 s also SIGKILL, and waits until the process has ended. */
  stop(signal: NodeJS.Signals): Promise<void>;
}

// A process that ran this long was healthy: its end is an accident, not a sign that it cannot start.
const healthyMs = 10_000;
const stopPatienceMs = 5_000;

/** Makes a service that is stopped. */
export function createService(spec: ServiceSpec, clock: Clock): Service {
  const backoff = createBackoff({ initialMs: 50, maxMs: 2_000, jitter: 0 });
  let state: ServiceState = { kind: 'stopped' };
  let child: ChildProcess | undefined;
  let cancelRestart: CancelTimer = () => undefined;
  let restarts = 0;
  let lastExit: Exit | undefined;

  const ended = (status: number | null, signal: NodeJS.Signals | null): void => {
    const ranMs = state.kind === 'running' ? clock.nowMs() - state.startedMs : 0;
    child = undefined;
    lastExit = { status, signal, atMs: clock.nowMs() };
    if (state.kind !== 'running') {
      state = { kind: 'stopped' };
      return;
    }
    if (ranMs >= healthyMs) backoff.reset();
    state = { kind: 'waiting' };
    cancelRestart = clock.schedule(backoff.nextMs(), () => {
      restarts++;
      start();
    });
  };

  const start = (): void => {
    cancelRestart();
    if (child !== undefined) return;
    const started = spawnLogged(spec);
    child = started;
    state = { kind: 'running', pid: started.pid ?? 0, startedMs: clock.nowMs() };
    started.once('error', () => ended(127, null));
    started.once('exit', ended);
  };

  const stop = async (signal: NodeJS.Signals): Promise<void> => {
    cancelRestart();
    backoff.reset();
    if (child === undefined) {
      state = { kind: 'stopped' };
      return;
    }
    const stopping = child;
    state = { kind: 'stopping', pid: stopping.pid ?? 0 };
    const gone = new Promise((resolve) => stopping.once('exit', resolve));
    stopping.kill(signal);
    const cancelKill = clock.schedule(stopPatienceMs, () => stopping.kill('SIGKILL'));
    await gone;
    cancelKill();
  };

  return {
    name: spec.name,
    logFile: spec.logFile,
    state: () => state,
    restarts: () => restarts,
    lastExit: () => lastExit,
    start,
    stop,
  };
}

// The process writes into the file itself: it loses nothing, and notices nothing, when the supervisor dies.
function spawnLogged({ command, logFile }: ServiceSpec): ChildProcess {
  const log = openSync(logFile, 'a', 0o640);
  try {
    const [file, ...args] = command;
    return spawn(file, args, { stdio: ['ignore', log, log] });
  } finally {
    closeSync(log);
  }
}
