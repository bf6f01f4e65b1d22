// SPDX-License-Identifier: Apache-2.0
import { statSync } from 'node:fs';
import { createHash } from 'node:crypto';
import {
  attachCgroup,
  type AttachType,
  type BpfMap,
  type BpfProgram,
  hasHelper,
  loadObject,
  openObject,
  openPinnedLink,
  openPinnedProgram,
  requireProgramType,
  unpin,
  type Link,
} from '@weir/bpf-loader-node';
import { configConstants, type DatapathConfig } from '@weir/datapath-layout';
import { WeirError } from '@weir/errors';
import type { Pins } from './pins.ts';

/** The programs at sockets, and the hook that each is for. */
const hooks = {
  weir_connect4: 'cgroup_inet4_connect',
  weir_connect6: 'cgroup_inet6_connect',
  weir_sendmsg4: 'cgroup_udp4_sendmsg',
  weir_sendmsg6: 'cgroup_udp6_sendmsg',
  weir_recvmsg4: 'cgroup_udp4_recvmsg',
  weir_recvmsg6: 'cgroup_udp6_recvmsg',
  weir_getpeername4: 'cgroup_inet4_getpeername',
  weir_getpeername6: 'cgroup_inet6_getpeername',
  weir_tcp_event: 'cgroup_sock_ops',
} as const satisfies Readonly<Record<string, AttachType>>;

type SocketProgram = keyof typeof hooks;

const names = Object.keys(hooks) as SocketProgram[];
const linkName = (name: SocketProgram): string => `socket-${name.slice('weir_'.length)}`;

export interface SocketProgramsOptions {
  /** The compiled `weir_sock.bpf.o`. */
  readonly objectPath: string;
  readonly config: Partial<DatapathConfig>;
  readonly pins: Pins;
  /** Open maps by their names. */
  readonly maps: ReadonlyMap<string, BpfMap>;
}

/** Load balancing at the sockets of a cgroup. */
export interface SocketPrograms {
  /** See `ServiceDatapath.attachSockets`. */
  attach(cgroup: string): void;
  /** Names what the programs were made of; undefined before the first `attach`. */
  readonly build: string | undefined;
  close(): void;
}

const tryOpen = <T>(open: () => T): T | undefined => {
  try {
    return open();
  } catch (error) {
    if (error instanceof WeirError && error.code === 'NOT_FOUND') return undefined;
    throw error;
  }
};

/** Finds the programs of the same build pinned, or loads them. */
function loadPrograms({ objectPath, config, pins, maps }: SocketProgramsOptions): {
  readonly build: string;
  readonly programs: ReadonlyMap<SocketProgram, BpfProgram>;
} {
  requireProgramType('cgroup_sock_addr');
  const spec = openObject({ path: objectPath });
  const variables = configConstants({
    coarseClock: hasHelper({ programType: 'cgroup_sock_addr', helper: 'bpf_ktime_get_coarse_ns' }) ? 1 : 0,
    socketErrors: hasHelper({ programType: 'cgroup_sock_addr', helper: 'bpf_set_retval' }) ? 1 : 0,
    ...config,
  });
  const hash = createHash('sha256').update(spec.bytes);
  for (const [name, value] of variables) hash.update(name).update(value);
  // The programs hold on to the maps that they were loaded with.
  for (const { name } of spec.maps) hash.update(String(maps.get(name)?.info.id));
  const build = hash.digest('hex').slice(0, 16);
  if (pins.builds().includes(build)) {
    const pinned = names.map((name) => tryOpen(() => openPinnedProgram(pins.program(build, name))));
    const found = pinned.flatMap((program) => program ?? []);
    if (found.length === names.length) {
      return { build, programs: new Map(names.map((name, index) => [name, found[index] as BpfProgram])) };
    }
    for (const each of found) each.close();
  }
  const used = spec.maps.flatMap(({ name }) => {
    const use = maps.get(name);
    return use === undefined ? [] : [[name, { use }] as const];
  });
  const object = loadObject(spec, { variables: Object.fromEntries(variables), maps: Object.fromEntries(used) });
  const programs = new Map(names.map((name) => [name, object.program(name)]));
  for (const [name, program] of programs) program.pin(pins.program(build, name), { replace: true });
  return { build, programs };
}

/** Loads nothing before something is attached. */
export function createSocketPrograms(options: SocketProgramsOptions): SocketPrograms {
  const { pins } = options;
  let loaded: ReturnType<typeof loadPrograms> | undefined;

  const isUpdated = (name: SocketProgram, program: BpfProgram, cgroupId: bigint): boolean => {
    const link = tryOpen(() => openPinnedLink(pins.link(linkName(name))));
    if (link === undefined) return false;
    try {
      const info = link.info();
      if (info.cgroupId !== cgroupId) {
        detach(name, link);
        return false;
      }
      if (info.programId !== program.info().id) link.update(program);
      return true;
    } finally {
      link.close();
    }
  };

  const detach = (name: SocketProgram, link: Link): void => {
    // The cgroup may be gone, and the link with it.
    if (link.info().cgroupId !== 0n) link.detach();
    unpin(pins.link(linkName(name)));
  };

  return {
    attach(cgroup) {
      let cgroupId: bigint;
      try {
        cgroupId = statSync(cgroup, { bigint: true }).ino;
      } catch (cause) {
        throw new WeirError('FAILED_PRECONDITION', `There is no cgroup "${cgroup}"`, { cause });
      }
      loaded ??= loadPrograms(options);
      for (const [name, program] of loaded.programs) {
        if (isUpdated(name, program, cgroupId)) continue;
        const link = attachCgroup(program, { path: cgroup, attachType: hooks[name] });
        try {
          link.pin(pins.link(linkName(name)), { replace: true });
        } finally {
          link.close();
        }
      }
    },
    get build() {
      return loaded?.build;
    },
    close() {
      for (const program of loaded?.programs.values() ?? []) program.close();
    },
  };
}
