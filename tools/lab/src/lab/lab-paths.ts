// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import { WeirError } from '@weir/errors';

/** Where a node's processes keep what they need; all of it inside the lab's directory. */
export interface NodePaths {
  readonly directory: string;
  readonly runDirectory: string;
  readonly stateDirectory: string;
  /** The node's own bpffs is mounted here. */
  readonly bpfRoot: string;
  readonly agentSocket: string;
  /** Where the node's agent serves flows. */
  readonly observerSocket: string;
  readonly cniSocket: string;
}

/** Every path that belongs to one lab. */
export interface LabPaths {
  readonly name: string;
  readonly directory: string;
  /** What was asked of `up`. */
  readonly specFile: string;
  readonly supervisorSocket: string;
  readonly identityDirectory: string;
  /** Where the flows of all nodes are served, if there are several. */
  readonly relaySocket: string;
  /** The sockets of the allocators, counted from 0. */
  identitySocket(index: number): string;
  /** The sockets of the operators, counted from 0. */
  operatorSocket(index: number): string;
  /** Data of a store that is not embedded. */
  readonly storeDirectory: string;
  readonly logDirectory: string;
  readonly podDirectory: string;
  /** One file for each network namespace that the lab has made. */
  readonly namespaceDirectory: string;
  /** Where version 2 cgroups are mounted if the machine has no such mount. */
  readonly cgroupMount: string;
  node(name: string): NodePaths;
}

/** Where the state of all labs is; gone after a reboot, as they are. */
export const labsDirectory = '/run/weir-lab';
export const defaultLabName = 'weir';

// It is the first part of namespace names, up to the first hyphen; and sockets below it must not exceed 107 bytes.
const namePattern = /^[a-z][a-z0-9]{0,19}$/;

/** Lays out the paths of a lab. INVALID_ARGUMENT for a name that cannot be one. */
export function labPaths(name: string): LabPaths {
  if (!namePattern.test(name)) {
    throw new WeirError(
      'INVALID_ARGUMENT',
      `Invalid lab name "${name}": expected a lower-case letter, then at most 19 lower-case letters and digits`,
    );
  }
  const directory = join(labsDirectory, name);
  return {
    name,
    directory,
    specFile: join(directory, 'lab.json'),
    supervisorSocket: join(directory, 'supervisor.sock'),
    identityDirectory: join(directory, 'identity'),
    relaySocket: join(directory, 'relay.sock'),
    identitySocket: (index) => join(directory, 'identity', `identity${index === 0 ? '' : index + 1}.sock`),
    operatorSocket: (index) => join(directory, 'identity', `operator${index === 0 ? '' : index + 1}.sock`),
    storeDirectory: join(directory, 'store'),
    logDirectory: join(directory, 'log'),
    podDirectory: join(directory, 'pods'),
    namespaceDirectory: join(directory, 'namespaces'),
    cgroupMount: join(directory, 'cgroup'),
    node: (node) => nodePaths(join(directory, node)),
  };
}

function nodePaths(directory: string): NodePaths {
  const runDirectory = join(directory, 'run');
  return {
    directory,
    runDirectory,
    stateDirectory: join(directory, 'state'),
    bpfRoot: join(directory, 'bpf'),
    agentSocket: join(runDirectory, 'agent.sock'),
    observerSocket: join(runDirectory, 'hubble.sock'),
    cniSocket: join(runDirectory, 'cni.sock'),
  };
}
