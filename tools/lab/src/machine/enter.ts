// SPDX-License-Identifier: Apache-2.0
import { netnsPath } from './network-namespace.ts';
import type { Argv } from './run-command.ts';

/** Where a process is to run: in a network namespace, and as a member of a cgroup. */
export interface Place {
  readonly netns: string;
  readonly cgroup: string;
}

// Each step replaces the process by the next one, so that its id, its streams and its signals are the command's own. It
// joins the cgroup before it can have children. `nsenter` changes nothing but the network namespace, where `ip netns exec`
// would also hide the mounts of the node. Node.js ignores two signals, which the command must not inherit.
const script = [
  'echo 0 > "$1/cgroup.procs" || exit 126',
  'n=$2',
  'shift 2',
  'exec nsenter --net="$n" -- env --default-signal=PIPE,XFSZ -- "$@"',
].join('\n');

/** The command that becomes `command` in its place. */
export function enter(place: Place, command: Argv): Argv {
  return ['/bin/sh', '-c', script, 'weir-lab', place.cgroup, netnsPath(place.netns), ...command];
}

/** The command that becomes `command` as a member of a cgroup; if there is no such cgroup it is not run. */
export function enterCgroup(cgroup: string, command: Argv): Argv {
  const join = 'echo 0 > "$1/cgroup.procs" || exit 126; shift; exec "$@"';
  return ['/bin/sh', '-c', join, 'weir-lab', cgroup, ...command];
}

/** Whether a process with this command line is still on its way through `enter`. */
export function isEntering(place: Place, commandLine: readonly string[]): boolean {
  const [, option, text] = commandLine;
  const inShell = option === '-c' && text === script;
  const inNsenter = commandLine[0] === 'nsenter' && option === `--net=${netnsPath(place.netns)}`;
  const inEnv = commandLine[0] === 'env' && option === '--default-signal=PIPE,XFSZ';
  return inShell || inNsenter || inEnv;
}
