// SPDX-License-Identifier: Apache-2.0
import type { BpfProgram } from './bpf-program.ts';
import type { AttachType, LinkType } from './kernel-enums.ts';
import type { PinOptions } from './pin.ts';

/** What a link is; `ifindex` is 0 once it is detached or its interface is gone. */
export interface LinkInfo {
  /** "tc_filter" is the clsact fallback, which is no link to the kernel. */
  readonly type: LinkType | 'tc_filter' | `unknown(${number})`;
  /** Of the kernel; 0 for a tc filter. */
  readonly id: number;
  /** Id of the program that runs now; 0 for none. */
  readonly programId: number;
  /** Of tcx, tc filter and XDP links. */
  readonly ifindex?: number;
  /** Of cgroup links: the inode number of the cgroup's directory; 0 once it is detached or its cgroup is gone. */
  readonly cgroupId?: bigint;
  /** Of all but XDP links. */
  readonly attachType?: AttachType | `unknown(${number})`;
}

/**
 * A program at a hook. It stays there as long as the link is open or pinned; closing the last of both detaches it. After
 * `close()` every call throws FAILED_PRECONDITION.
 */
export interface Link extends Disposable {
  /** Asks the kernel. */
  info(): LinkInfo;
  /** Replaces the program in one step: no packet runs neither. */
  update(program: BpfProgram): void;
  /** Takes the program away from the hook now, even if the link is pinned. */
  detach(): void;
  /** Pins the link, so that it outlives this process. */
  pin(path: string, options?: PinOptions): void;
  /** Closes it. Closing twice is harmless. */
  close(): void;
}
