// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { WeirError } from '@weir/errors';

/** How a command ended, and what it printed. */
export interface CommandResult {
  /** Exit status; null when a signal ended it. */
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  /** Written to standard input, which is empty by default. */
  readonly input?: string | Uint8Array;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** After this long the command is killed, and the call throws TIMEOUT; 60,000 by default. */
  readonly timeoutMs?: number;
  /** A command that prints more than this is killed; 16 MiB by default. */
  readonly outputBytesMax?: number;
  /** Kills the command, and the call throws CANCELLED. */
  readonly signal?: AbortSignal;
}

/** A command and its arguments. */
export type Argv = readonly [string, ...string[]];

/** Runs a command to its end, whatever its exit status. NOT_FOUND when there is no such program. */
export function runCommand(argv: Argv, options: CommandOptions = {}): Promise<CommandResult> {
  const [file, ...args] = argv;
  const { timeoutMs = 60_000, outputBytesMax = 16 * 1024 * 1024, signal } = options;
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { cwd: options.cwd, env: options.env, stdio: 'pipe' });
    let failure: WeirError | undefined;
    const end = (error: WeirError): void => {
      failure ??= error;
      child.kill('SIGKILL');
    };
    const cancel = (): void => end(new WeirError('CANCELLED', `"${argv.join(' ')}" was stopped`));
    const late = (): void => end(new WeirError('TIMEOUT', `"${argv.join(' ')}" did not end within ${timeoutMs} ms`));
    const timer = setTimeout(late, timeoutMs);
    signal?.addEventListener('abort', cancel, { once: true });
    if (signal?.aborted === true) cancel();
    let bytes = 0;
    const collect = (stream: NodeJS.ReadableStream): Buffer[] => {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes <= outputBytesMax) chunks.push(chunk);
        else end(new WeirError('RESOURCE_EXHAUSTED', `"${file}" printed more than ${outputBytesMax} bytes`));
      });
      return chunks;
    };
    const stdout = collect(child.stdout);
    const stderr = collect(child.stderr);
    // A command need not read what it is given.
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input ?? '');
    const settle = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', cancel);
    };
    child.on('error', (error) => {
      settle();
      reject(new WeirError('NOT_FOUND', `Cannot run "${file}": ${error.message}`, { cause: error }));
    });
    child.on('close', (status, childSignal) => {
      settle();
      if (failure !== undefined) reject(failure);
      else resolve({ status, signal: childSignal, stdout: text(stdout), stderr: text(stderr) });
    });
  });
}

const text = (chunks: readonly Buffer[]): string => Buffer.concat(chunks).toString();

/** Runs a command that must succeed, and gives its standard output; FAILED_PRECONDITION carries what it complained of. */
export async function requireCommand(argv: Argv, options: CommandOptions = {}): Promise<string> {
  const result = await runCommand(argv, options);
  if (result.status === 0) return result.stdout;
  const complaint = (result.stderr || result.stdout).trim().slice(-2000);
  const how = result.signal === null ? `exit status ${result.status}` : `signal ${result.signal}`;
  throw new WeirError('FAILED_PRECONDITION', `"${argv.join(' ')}" failed with ${how}: ${complaint}`, {
    details: { status: result.status, signal: result.signal },
  });
}
