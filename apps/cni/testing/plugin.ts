// SPDX-License-Identifier: Apache-2.0
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const project = join(import.meta.dirname, '..');
const build = join(project, 'build');

/** The plugin and the parser probe, built with the sanitizers: any memory error ends them with a report. */
export const programs = {
  plugin: join(build, 'weir-cni-sanitized'),
  probe: join(build, 'probe-sanitized'),
};

/** Builds both programs where they are older than their sources; test files that run at the same time take turns. */
export function buildPrograms(): void {
  mkdirSync(build, { recursive: true });
  const result = spawnSync('flock', [join(build, '.lock'), 'make', '-s', '-C', project, 'sanitized'], {
    encoding: 'utf8',
  });
  if (result.status !== 0) throw new Error(`make sanitized: ${result.error?.message ?? result.stderr}`);
}

/** What the program left behind. */
export interface PluginResult {
  readonly status: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface PluginInput {
  readonly env?: Readonly<Record<string, string>>;
  /** `never`: standard input stays open and empty. */
  readonly stdin?: string | Uint8Array;
}

/** Runs the plugin with exactly this environment. It leaves its memory to the kernel on purpose, so no leak is looked for. */
export function runPlugin(input: PluginInput): Promise<PluginResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(programs.plugin, [], { env: { ...input.env, ASAN_OPTIONS: 'detect_leaks=0' } });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
    child.on('error', reject);
    child.on('close', (status, signal) => {
      resolve({ status, signal, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() });
    });
    // A plugin that refuses the environment may exit before it has read everything.
    child.stdin.on('error', () => undefined);
    if (input.stdin !== 'never') child.stdin.end(input.stdin ?? '');
  });
}

/** The environment of a well-formed call. */
export function callEnv(command: string, changes: Readonly<Record<string, string>> = {}): Record<string, string> {
  return {
    CNI_COMMAND: command,
    CNI_CONTAINERID: '0a1b2c',
    CNI_NETNS: '/run/netns/x',
    CNI_IFNAME: 'eth0',
    CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=xwing',
    CNI_PATH: '/opt/cni/bin',
    ...changes,
  };
}

/** A network configuration as text. */
export function config(members: Readonly<Record<string, unknown>> = {}): string {
  return JSON.stringify({ cniVersion: '1.1.0', name: 'weir', type: 'weir-cni', ...members });
}

/** An agent for tests: a real HTTP server on a real unix socket, in a directory of its own. */
export interface TestAgent {
  readonly directory: string;
  readonly socket: string;
  /** The bodies that arrived, parsed. */
  readonly requests: unknown[];
  close(): Promise<void>;
}

export type AgentHandler = (request: IncomingMessage, response: ServerResponse) => void;

/** Starts an agent that reads each request whole, keeps it, and lets `handler` answer. */
export async function startAgent(handler: AgentHandler): Promise<TestAgent> {
  const directory = temporaryDirectory();
  const socket = join(directory, 'cni.sock');
  const requests: unknown[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      requests.push(JSON.parse(Buffer.concat(chunks).toString()));
      handler(request, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    rmSync(directory, { recursive: true, force: true });
  };
  return { directory, socket, requests, close };
}

/** A new directory under the system's temporary one; its path is short enough for sockets. */
export function temporaryDirectory(): string {
  return mkdtempSync(join(tmpdir(), 'weir-cni-'));
}

/** Sends frames through the probe, and gives its answer to each. */
export function probe(parser: 'json' | 'http', frames: readonly Uint8Array[]): unknown[] {
  const input = Buffer.concat(
    frames.flatMap((frame) => {
      const header = Buffer.alloc(4);
      header.writeUInt32LE(frame.length);
      return [header, frame];
    }),
  );
  const output = execFileSync(programs.probe, [parser], { input, maxBuffer: 1 << 28, encoding: 'utf8' });
  return output
    .split('\n')
    .slice(0, -1)
    .map((line): unknown => JSON.parse(line));
}
