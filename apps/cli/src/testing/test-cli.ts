// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AgentServiceDefinition } from '@weir/proto';
import { createRpcServer, type Handlers, type RpcServer, rpcService } from '@weir/rpc';
import { runProgram } from '../run-program.ts';

type AgentHandlers = Handlers<typeof AgentServiceDefinition>;

/** What a command line came to. */
export interface Outcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** An agent that answers over a real socket what a test tells it to, and the command line that asks it. */
export interface TestCli {
  readonly address: string;
  readonly directory: string;
  /** What the agent answers from now on; other calls fail with UNAVAILABLE. */
  answer(handlers: Partial<AgentHandlers>): Promise<void>;
  /** Runs `weir ARGS` in this process. */
  weir(...args: string[]): Promise<Outcome>;
  close(): Promise<void>;
}

export function createTestCli(): TestCli {
  const directory = mkdtempSync(join(tmpdir(), 'weir-cli-'));
  const address = `unix:${directory}/agent.sock`;
  let server: RpcServer | undefined;
  const stop = async (): Promise<void> => server?.stop({ deadlineMs: 0 });
  return {
    address,
    directory,
    async answer(handlers) {
      await stop();
      const names = Object.keys(AgentServiceDefinition) as (keyof AgentHandlers)[];
      const unexpected = (name: string) => () => {
        throw new TypeError(`unexpected call of ${name}`);
      };
      const all = Object.fromEntries(names.map((name) => [name, handlers[name] ?? unexpected(name)]));
      const service = rpcService(AgentServiceDefinition, all as unknown as AgentHandlers);
      server = createRpcServer({ services: [service], listen: [address] });
      await server.start();
    },
    weir: (...args) => capture(() => runProgram(['--address', address, ...args])),
    async close() {
      await stop();
      rmSync(directory, { recursive: true });
    },
  };
}

/** Runs a task with what it writes to standard output and error, and its exit status, in hand. */
export async function capture(task: () => Promise<void>): Promise<Outcome> {
  const outcome = { status: 0, stdout: '', stderr: '' };
  const streams = (['stdout', 'stderr'] as const).map((name) => {
    const stream = process[name];
    const { write } = stream;
    stream.write = ((text: string) => {
      outcome[name] += text;
      return true;
    }) as typeof write;
    return () => (stream.write = write);
  });
  try {
    await task();
    outcome.status = Number(process.exitCode ?? 0);
  } finally {
    for (const restore of streams) restore();
    process.exitCode = undefined;
  }
  return outcome;
}

const main = fileURLToPath(new URL('../main.ts', import.meta.url));

/** Runs `weir ARGS` as a process of its own; `onOutput` is called once when it has printed something, and may stop it. */
export function spawnWeir(
  args: readonly string[],
  { env = {}, onOutput }: { env?: NodeJS.ProcessEnv; onOutput?: (process: ReturnType<typeof spawn>) => void } = {},
): Promise<Outcome> {
  const child = spawn(process.execPath, [main, ...args], {
    env: { ...process.env, NODE_OPTIONS: '', ...env },
    stdio: 'pipe',
  });
  const outcome = { status: -1, stdout: '', stderr: '' };
  child.stdout.on('data', (chunk: Buffer) => {
    const isFirst = outcome.stdout === '';
    outcome.stdout += chunk.toString();
    if (isFirst) onOutput?.(child);
  });
  child.stderr.on('data', (chunk: Buffer) => (outcome.stderr += chunk.toString()));
  return new Promise((resolve) => child.on('close', (status) => resolve({ ...outcome, status: status ?? -1 })));
}
