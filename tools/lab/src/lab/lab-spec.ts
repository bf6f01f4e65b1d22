// SPDX-License-Identifier: Apache-2.0
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { writeWhole } from '../machine/write-whole.ts';
import type { LabPaths } from './lab-paths.ts';
import type { LabStore } from './store-program.ts';

/** How packets get from one node's pods to another's: by routes of the kernel, or in VXLAN. */
export type Routing = 'direct' | 'overlay';

/** Who gives nodes their pod ranges: the lab itself, or operators out of the cluster's pools. */
export type Ipam = 'lab' | 'cluster';

/** What `up` was asked for, kept on disk for every later command. */
export interface LabSpec {
  readonly nodeCount: number;
  /** Where the programs come from. */
  readonly distDirectory: string;
  /** The root of the lab's cgroups. */
  readonly cgroup: string;
  /** How packets get to pods of other nodes. */
  readonly routing: Routing;
  /** Where the allocators keep identities. */
  readonly store: LabStore;
  /** The server of that store; undefined where it is embedded. */
  readonly storeProgram?: string;
  /** How many identity-allocators there are. */
  readonly allocatorCount: number;
  /** Where nodes have their pod ranges from: the lab's plan, or operators. */
  readonly ipam: Ipam;
  /** How many operators there are; 0 with ranges of the plan. */
  readonly operatorCount: number;
  /** Flags for the operators. */
  readonly operatorArguments: readonly string[];
  /** Labels of nodes by their names, as `key=value,…`. Absent in a lab of before. */
  readonly nodeLabels?: Readonly<Record<string, string>>;
  /** Flags that every agent gets besides those of the lab. */
  readonly agentArguments: readonly string[];
  /** Flags for the identity-allocator, likewise. */
  readonly allocatorArguments: readonly string[];
  readonly logLevel: string;
  readonly createdMs: number;
}

/** Stores what the lab was asked to be. */
export async function writeLabSpec(paths: LabPaths, spec: LabSpec): Promise<void> {
  await writeWhole(paths.specFile, `${JSON.stringify(spec, null, 2)}\n`);
}

/** Undefined when there is no such lab. */
export async function readLabSpec(paths: LabPaths): Promise<LabSpec | undefined> {
  if (!existsSync(paths.specFile)) return undefined;
  return JSON.parse(await readFile(paths.specFile, 'utf8')) as LabSpec;
}
