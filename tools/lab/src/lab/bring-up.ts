// SPDX-License-Identifier: Apache-2.0
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { WeirError } from '@weir/errors';
import { createCgroup, findCgroup2 } from '../machine/cgroup.ts';
import { enterCgroup } from '../machine/enter.ts';
import { listMounts, mountFileSystem } from '../machine/mounts.ts';
import { createNamespaceRegistry } from '../machine/network-namespace.ts';
import type { Argv } from '../machine/run-command.ts';
import { tailOfFile } from '../machine/tail-of-file.ts';
import { buildNetwork } from '../network/build-network.ts';
import { planNetwork } from '../network/plan.ts';
import type { SupervisorApi } from '../supervisor/api.ts';
import { findInstallation } from './installation.ts';
import type { LabContext } from './lab-context.ts';
import type { LabPaths } from './lab-paths.ts';
import { writeLabSpec, type Ipam, type LabSpec, type Routing } from './lab-spec.ts';
import { type LabStore, requireStoreProgram } from './store-program.ts';
import { hostPlaces } from './target.ts';
import { labsCgroup } from './teardown.ts';

/** What a new lab is to be. */
export interface LabOptions {
  /** 1 by default. */
  readonly nodeCount?: number;
  /** `direct` for one node, `overlay` for more, by default. */
  readonly routing?: Routing;
  /** `embedded` by default. */
  readonly store?: LabStore;
  /** The server of that store, if not the one on the PATH. */
  readonly storeProgram?: string;
  /** How many identity-allocators there are, which share the store; 1 by default. */
  readonly allocatorCount?: number;
  /** `lab` by default. */
  readonly ipam?: Ipam;
  /** How many operators there are with `cluster`; 1 by default. */
  readonly operatorCount?: number;
  /** Further flags for them, such as `--node-grace=5s`. */
  readonly operatorArguments?: readonly string[];
  /** Where the programs come from; what `make build` made by default. */
  readonly distDirectory?: string;
  /** Labels of nodes by their names, as `key=value,…`. */
  readonly nodeLabels?: Readonly<Record<string, string>>;
  /** Further flags for every agent, such as `--enable-policy=always`. */
  readonly agentArguments?: readonly string[];
  /** Further flags for the identity-allocator, such as `--lease=5s`. */
  readonly allocatorArguments?: readonly string[];
  /** Of all services: debug, info, warn or error; info by default. */
  readonly logLevel?: string;
}

const supervisorDeadlineMs = 20_000;

/** Makes everything that a lab is before its services are ready. Nothing of an earlier one may be there. */
export async function bringUp(
  paths: LabPaths,
  options: LabOptions,
  onProgress: (text: string) => void,
): Promise<LabSpec> {
  const installation = findInstallation(options.distDirectory);
  const nodeCount = options.nodeCount ?? 1;
  const network = planNetwork({ lab: paths.name, nodeCount });
  const storeSpec = chooseStore(options);
  await mkdir(paths.directory, { recursive: true, mode: 0o700 });
  const spec: LabSpec = {
    nodeCount,
    distDirectory: installation.directory,
    cgroup: join(await cgroupRoot(paths), labsCgroup, paths.name),
    routing: options.routing ?? (nodeCount === 1 ? 'direct' : 'overlay'),
    ...storeSpec,
    ipam: options.ipam ?? 'lab',
    operatorCount: options.ipam === 'cluster' ? (options.operatorCount ?? 1) : 0,
    operatorArguments: options.operatorArguments ?? [],
    nodeLabels: options.nodeLabels ?? {},
    agentArguments: options.agentArguments ?? [],
    allocatorArguments: options.allocatorArguments ?? [],
    logLevel: options.logLevel ?? 'info',
    createdMs: Date.now(),
  };
  await writeLabSpec(paths, spec);

  onProgress(`Building the network of ${nodeCount === 1 ? '1 node' : `${nodeCount} nodes`}`);
  await buildNetwork(network, createNamespaceRegistry(paths.namespaceDirectory));
  await Promise.all(
    [paths.identityDirectory, paths.storeDirectory, paths.logDirectory, paths.podDirectory].map(makeDirectory),
  );
  for (const { name } of network.nodes) await prepareNode(paths, name);
  await Promise.all([...hostPlaces(network, spec.cgroup).values()].map(({ cgroup }) => createCgroup(cgroup)));
  return spec;
}

function chooseStore(options: LabOptions): Pick<LabSpec, 'store' | 'storeProgram' | 'allocatorCount'> {
  const { store = 'embedded', allocatorCount = 1 } = options;
  if (store !== 'embedded') {
    return { store, allocatorCount, storeProgram: requireStoreProgram(store, options.storeProgram) };
  }
  if (allocatorCount === 1) return { store, allocatorCount };
  throw new WeirError(
    'INVALID_ARGUMENT',
    `${allocatorCount} allocators cannot share an embedded store, expected --store consul or etcd`,
  );
}

async function makeDirectory(path: string): Promise<void> {
  await mkdir(path, { recursive: true });
}

async function prepareNode(paths: LabPaths, name: string): Promise<void> {
  const { runDirectory, stateDirectory, bpfRoot } = paths.node(name);
  await Promise.all([runDirectory, stateDirectory, bpfRoot].map(makeDirectory));
  await mountFileSystem('bpf', bpfRoot);
}

/** Where the version 2 hierarchy is mounted; in the lab's own directory if it is nowhere else. */
async function cgroupRoot(paths: LabPaths): Promise<string> {
  const found = findCgroup2(await listMounts());
  if (found !== undefined) return found;
  await mkdir(paths.cgroupMount);
  await mountFileSystem('cgroup2', paths.cgroupMount);
  return paths.cgroupMount;
}

/** Starts the supervisor, which outlives the caller, and returns when it answers. */
export async function startSupervisor({ paths, supervisor }: LabContext, spec: LabSpec): Promise<void> {
  const logFile = join(paths.logDirectory, 'supervisor.log');
  const cgroup = join(spec.cgroup, 'supervisor');
  await createCgroup(cgroup);
  const { lab } = findInstallation(spec.distDirectory);
  // In its cgroup from the first moment: whatever happens now, `down` will find it.
  const child = spawnDetached(enterCgroup(cgroup, [...lab, 'supervise', '--name', paths.name]), logFile);
  const startedMs = performance.now();
  for (;;) {
    if (await isAlive(supervisor)) return;
    const waitedMs = performance.now() - startedMs;
    if (child.exitCode !== null || child.signalCode !== null || waitedMs > supervisorDeadlineMs) {
      throw new WeirError('UNAVAILABLE', `The supervisor did not start: ${await tailOfFile(logFile)}`);
    }
    await sleep(20);
  }
}

/** Whether a lab's supervisor answers. */
export async function isAlive(supervisor: SupervisorApi): Promise<boolean> {
  try {
    await supervisor.status();
    return true;
  } catch {
    return false;
  }
}

function spawnDetached([file, ...args]: Argv, logFile: string): ChildProcess {
  const log = openSync(logFile, 'a', 0o640);
  try {
    // What somebody tells their own Node.js, such as to open a debugger, is not meant for every service.
    // The C library's heap for each thread would keep what one of them has needed once.
    const env = { ...process.env, NODE_OPTIONS: undefined, MALLOC_ARENA_MAX: '1' };
    const child = spawn(file, args, { stdio: ['ignore', log, log], detached: true, cwd: '/', env });
    child.unref();
    return child;
  } finally {
    closeSync(log);
  }
}
