// SPDX-License-Identifier: Apache-2.0
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { WeirError } from '@weir/errors';
import type { Argv } from '../machine/run-command.ts';

/** The built programs that a lab runs. */
export interface Installation {
  readonly directory: string;
  readonly agent: Argv;
  readonly identityAllocator: Argv;
  readonly operator: Argv;
  readonly l7Proxy: Argv;
  readonly monitorRelay: Argv;
  readonly cniPlugin: string;
  /** The program that `weir lab` itself is; it becomes the supervisor. */
  readonly lab: Argv;
}

// The agent has two threads with a heap each, and little to do at a time: room for the garbage of a burst of pods, and for
// compilers that work side by side, would only stay with it.
const sizeFlags = ['--optimize-for-size', '--max-semi-space-size=1', '--v8-pool-size=1'];

// From a bundle this is dist/, from the sources tools/lab/src/lab/.
const here = import.meta.dirname;
const bundled = !import.meta.filename.endsWith('.ts');

/** Where `make build` puts programs, unless WEIR_DIST names another directory. */
function defaultDirectory(): string {
  return process.env.WEIR_DIST ?? (bundled ? here : join(here, '../../../../dist'));
}

/** Finds the programs. FAILED_PRECONDITION names all that are missing, and says how to make them. */
export function findInstallation(directory: string = defaultDirectory()): Installation {
  const programs = {
    agent: join(directory, 'agent.mjs'),
    identityAllocator: join(directory, 'identity-allocator.mjs'),
    operator: join(directory, 'operator.mjs'),
    l7Proxy: join(directory, 'l7-proxy.mjs'),
    monitorRelay: join(directory, 'monitor-relay.mjs'),
    cniPlugin: join(directory, 'weir-cni'),
  };
  const missing = Object.values(programs).filter((path) => !existsSync(path));
  if (missing.length > 0) {
    throw new WeirError('FAILED_PRECONDITION', `Missing ${missing.join(', ')}: run \`make build\` first`);
  }
  const node = (...args: readonly string[]): Argv => [process.execPath, ...args];
  return {
    directory,
    agent: node(...sizeFlags, programs.agent),
    identityAllocator: node(programs.identityAllocator),
    operator: node(programs.operator),
    l7Proxy: node(programs.l7Proxy),
    monitorRelay: node(programs.monitorRelay),
    cniPlugin: programs.cniPlugin,
    lab: node(bundled ? join(dirname(import.meta.filename), 'lab.mjs') : join(here, '../main.ts')),
  };
}
