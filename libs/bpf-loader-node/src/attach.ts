// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { bpfAddon, type DeviceHook } from './bpf-binding.ts';
import type { BpfProgram } from './bpf-program.ts';
import { hasFeature, requireFeature } from './features.ts';
import { attachType, type AttachType } from './kernel-enums.ts';
import { KernelLink } from './kernel-link.ts';
import type { Link } from './link.ts';
import { enterablePath, type NetnsReference } from './netns-path.ts';
import { attachTcFilter, openPinnedTcFilter } from './tc-filter-link.ts';

const beforeOthers = 1 << 3; // BPF_F_BEFORE
const xdpModeFlags = { any: 0, generic: 1 << 1, driver: 1 << 2 } as const;

/** Where a `sched_cls` program goes. */
export interface TcOptions {
  readonly ifindex: number;
  readonly direction: 'ingress' | 'egress';
  /** The network namespace that has the interface; the caller's own unless given. */
  readonly netns?: NetnsReference;
  /** "auto" takes tcx where the kernel has it (6.6), else a clsact filter. */
  readonly mechanism?: 'auto' | 'tcx' | 'filter';
  /** Before all programs that are there already (tcx only), else after them. */
  readonly first?: boolean;
  /** Of a filter: 1 to 65535, lower ones run first; 1 unless given. */
  readonly priority?: number;
  /** Of a filter: tells filters of one priority apart; 1 unless given. */
  readonly handle?: number;
}

/** Where an `xdp` program goes. */
export interface XdpOptions {
  readonly ifindex: number;
  /** "driver" only if the driver runs XDP itself, "generic" after the kernel made a packet of it, "any" the better one. */
  readonly mode?: keyof typeof xdpModeFlags;
  /** The network namespace that has the interface; the caller's own unless given. */
  readonly netns?: NetnsReference;
}

/** Where a cgroup program goes. */
export interface CgroupOptions {
  /** Directory in a cgroup v2 file system. */
  readonly path: string;
  /** e.g. "cgroup_inet4_connect". */
  readonly attachType: AttachType;
}

function tcxHook(program: BpfProgram, { ifindex, direction, netns, first = false }: TcOptions): DeviceHook {
  requireFeature('tcx');
  const hook = attachType.numberOf(`tcx_${direction}`);
  return [program.handle, ifindex, hook, first ? beforeOthers : 0, enterablePath(netns)];
}

/**
 * Attaches to the traffic of an interface, by tcx or by its fallback; NOT_SUPPORTED if tcx is asked for and missing. tcx
 * waits for a grace period of the kernel's, some ten milliseconds; a filter does not.
 */
export function attachTc(program: BpfProgram, options: TcOptions): Link {
  const { ifindex, direction, netns, mechanism = 'auto', priority = 1, handle = 1 } = options;
  if (mechanism === 'filter' || (mechanism === 'auto' && !hasFeature('tcx'))) {
    const place = { ifindex, direction, priority, handle };
    const path = typeof netns === 'string' ? netns : netns?.path;
    return attachTcFilter(program, path === undefined ? place : { ...place, netns: path });
  }
  return new KernelLink(bpfAddon().linkCreateDevice(...tcxHook(program, options)));
}

/** As {@link attachTc} by tcx, but the waiting is done on a pool thread. */
export async function attachTcxAsync(
  program: BpfProgram,
  options: Omit<TcOptions, 'mechanism' | 'priority' | 'handle'>,
): Promise<Link> {
  return new KernelLink(await bpfAddon().linkCreateDeviceAsync(...tcxHook(program, options)));
}

/** Attaches to what an interface receives, before the kernel makes packets of it; one program an interface. */
export function attachXdp(program: BpfProgram, { ifindex, mode = 'any', netns }: XdpOptions): Link {
  const hook = attachType.numberOf('xdp');
  return new KernelLink(
    bpfAddon().linkCreateDevice(program.handle, ifindex, hook, xdpModeFlags[mode], enterablePath(netns)),
  );
}

/** Attaches to a hook of a cgroup and of all below it; programs that are there already stay and run too. */
export function attachCgroup(program: BpfProgram, options: CgroupOptions): Link {
  const hook = attachType.numberOf(options.attachType);
  if (!options.attachType.startsWith('cgroup_') && options.attachType !== 'lsm_cgroup') {
    throw new WeirError('INVALID_ARGUMENT', `attachType: "${options.attachType}" is not a hook of cgroups`);
  }
  return new KernelLink(bpfAddon().linkCreateCgroup(program.handle, options.path, hook));
}

/** Opens a pinned link of any kind; NOT_FOUND if there is none, FAILED_PRECONDITION if something else is pinned there. */
export function openPinnedLink(path: string): Link {
  return openPinnedTcFilter(path) ?? new KernelLink(bpfAddon().linkOpenPinned(path));
}
