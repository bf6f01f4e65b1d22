// SPDX-License-Identifier: Apache-2.0
import { spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../main.ts', import.meta.url));

/** The proxy as a process of its own. */
export interface ProxyProcess {
  readonly child: ChildProcess;
  /** What it has written to stderr. */
  readonly log: () => string;
  /** Waits until its log contains `text`. */
  logged(text: string): Promise<void>;
  /** Waits for its end and gives its exit status. */
  exited(): Promise<number | null>;
}

/** Runs `main.ts` with these arguments. Whoever starts it also ends it. */
export function spawnProxy(args: readonly string[]): ProxyProcess {
  const child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  child.stderr?.on('data', (bytes: Buffer) => (log += bytes.toString()));
  const exit = new Promise<number | null>((resolve) => child.once('exit', resolve));
  return {
    child,
    log: () => log,
    async logged(text) {
      for (const deadline = Date.now() + 20_000; !log.includes(text);) {
        if (child.exitCode !== null || Date.now() > deadline)
          throw new Error(`Waited in vain for "${text}" in: ${log}`);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    },
    exited: () => exit,
  };
}
