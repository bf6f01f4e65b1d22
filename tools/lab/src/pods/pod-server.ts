// SPDX-License-Identifier: Apache-2.0
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { WeirError } from '@weir/errors';
import { enter, isEntering, type Place } from '../machine/enter.ts';
import { tailOfFile } from '../machine/tail-of-file.ts';
import type { Exit } from '../supervisor/service.ts';
import { isListening } from './listening-ports.ts';
import type { AddPodRequest, PodServer } from './pod-record.ts';

/** A server that fails on its arguments does so within this time. */
const graceMs = 100;
const startDeadlineMs = 10_000;

export interface StartPodServer {
  /** For messages: `namespace/name`. */
  readonly pod: string;
  readonly place: Place;
  readonly server: NonNullable<AddPodRequest['server']>;
  readonly logFile: string;
}

/** A server that runs. */
export interface StartedPodServer {
  readonly server: PodServer;
  readonly exited: Promise<Exit>;
}

/**
 * Starts a pod's server in its place, and returns when it runs: the program is loaded and has not ended at once, and it
 * listens on its port where one was named. Otherwise FAILED_PRECONDITION with what it printed.
 */
export async function startPodServer(start: StartPodServer): Promise<StartedPodServer> {
  const { server, logFile, place, pod } = start;
  const child = spawnServer(start);
  const exited = new Promise<Exit>((resolve) => {
    child.once('exit', (status, signal) => resolve({ status, signal, atMs: Date.now() }));
    child.once('error', () => resolve({ status: 127, signal: null, atMs: Date.now() }));
  });
  const pid = child.pid ?? 0;
  const startedMs = performance.now();
  let loadedMs: number | undefined;
  for (;;) {
    const exit = await Promise.race([exited, sleep(10, undefined)]);
    if (exit !== undefined) throw await endedAtOnce(pod, exit, logFile);
    const nowMs = performance.now();
    if (loadedMs === undefined && !isEntering(place, await commandLine(pid))) loadedMs = nowMs;
    const listens = server.waitPort === undefined || (await isListening(pid, server.waitPort));
    if (loadedMs !== undefined && nowMs - loadedMs >= graceMs && listens) break;
    if (nowMs - startedMs > startDeadlineMs) throw await notListening(start);
  }
  return { server: { command: server.command, pid, logFile }, exited };
}

function spawnServer({ server, place, logFile }: StartPodServer): ChildProcess {
  const [file, ...args] = enter(place, server.command);
  const log = openSync(logFile, 'a', 0o640);
  try {
    return spawn(file, args, { cwd: server.cwd, env: server.env, stdio: ['ignore', log, log], detached: true });
  } finally {
    closeSync(log);
  }
}

async function commandLine(pid: number): Promise<readonly string[]> {
  const text = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  return text.split('\0');
}

async function endedAtOnce(pod: string, { status, signal }: Exit, logFile: string): Promise<WeirError> {
  const how = signal === null ? `exit status ${status}` : `signal ${signal}`;
  const output = await tailOfFile(logFile);
  return new WeirError('FAILED_PRECONDITION', `The server of pod "${pod}" ended at once with ${how}: ${output}`, {
    details: { status, signal, output },
  });
}

async function notListening({ pod, server, logFile }: StartPodServer): Promise<WeirError> {
  const output = await tailOfFile(logFile);
  const what = server.waitPort === undefined ? 'start' : `listen on TCP port ${server.waitPort}`;
  return new WeirError(
    'TIMEOUT',
    `The server of pod "${pod}" did not ${what} within ${startDeadlineMs} ms: ${output}`,
    { details: { output } },
  );
}
