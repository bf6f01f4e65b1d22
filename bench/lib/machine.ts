// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';

/** What the figures were measured on. */
export interface MachineDescription {
  readonly cpu: string;
  readonly cpus: number;
  readonly memoryGib: number;
  readonly kernel: string;
  readonly distribution: string;
  readonly node: string;
  /** Of the last minute: what else runs on the machine is part of what is measured. */
  readonly loadAverage: number;
  /** Of the source: the commit, marked where files differ from it. */
  readonly revision: string;
}

/** Describes this machine. */
export function describeMachine(): MachineDescription {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cpus: availableParallelism(),
    memoryGib: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    distribution: /^PRETTY_NAME="(.*)"$/m.exec(readOsRelease())?.[1] ?? 'unknown',
    node: process.version,
    loadAverage: loadavg()[0] ?? 0,
    revision:
      spawnSync('git', ['describe', '--always', '--dirty=+changes'], { encoding: 'utf8' }).stdout?.trim() || 'unknown',
  };
}

function readOsRelease(): string {
  try {
    return readFileSync('/etc/os-release', 'utf8');
  } catch {
    // Not every distribution has the file; the description is for people and can do without.
    return '';
  }
}
