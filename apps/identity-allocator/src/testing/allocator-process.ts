// SPDX-License-Identifier: Apache-2.0
// The real program as a child process, for tests that kill it.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('../main.ts', import.meta.url));
const startDeadlineMs = 15_000;

export interface AllocatorProcess {
  /** Where it listens. */
  readonly address: string;
  readonly storePath: string;
  /** Resolves when it serves. */
  start(): Promise<void>;
  /** Sends the signal and waits for the end; gives the exit status, or null when a signal ended it. */
  kill(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null>;
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void;
  /** Resident memory in bytes. */
  residentBytes(): number;
  /** What it has logged, over all its lives. */
  log(): string;
}

/** Prepares the program with its socket and its store in `directory`. */
export function createAllocatorProcess(directory: string, flags: readonly string[] = []): AllocatorProcess {
  const address = `unix:${directory}/run/identity.sock`;
  const args = [program, '--run-dir', join(directory, 'run'), '--state-dir', join(directory, 'state'), ...flags];
  let child: ChildProcess | undefined;
  let log = '';

  return {
    address,
    storePath: join(directory, 'state/identity.db'),
    start() {
      const started = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] });
      child = started;
      const born = log.length;
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`Not serving: ${log.slice(born)}`)), startDeadlineMs);
        started.stderr.on('data', (chunk: Buffer) => {
          log += chunk.toString();
          if (!log.slice(born).includes('"Serving"')) return;
          clearTimeout(timer);
          resolve();
        });
        started.once('exit', (status) => {
          clearTimeout(timer);
          reject(new Error(`Ended with status ${status}: ${log.slice(born)}`));
        });
      });
    },
    kill(signal) {
      const dying = child;
      if (dying === undefined || dying.exitCode !== null || dying.signalCode !== null) return Promise.resolve(null);
      return new Promise((resolve) => {
        dying.once('exit', (status) => resolve(status));
        dying.kill(signal);
      });
    },
    signal: (signal) => void child?.kill(signal),
    residentBytes: () =>
      Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${child?.pid}/status`, 'utf8'))?.[1]) * 1024,
    log: () => log,
  };
}

/** Runs the program to its end. */
export function runAllocator(args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], { encoding: 'utf8' });
  return { status, stdout, stderr };
}
