// SPDX-License-Identifier: Apache-2.0
import { bpfAddon, type BpfBinding, type LinkHandle } from './bpf-binding.ts';
import type { BpfProgram } from './bpf-program.ts';
import { attachType, linkType } from './kernel-enums.ts';
import type { Link, LinkInfo } from './link.ts';
import { closedHandle, closeNow, closeWhenCollected } from './native.ts';
import { pinTo, type PinOptions } from './pin.ts';

/** A link that the kernel knows as one: tcx, XDP, cgroup. */
export class KernelLink implements Link {
  readonly #native: BpfBinding;
  #handle: LinkHandle;

  constructor(handle: LinkHandle) {
    this.#native = bpfAddon();
    this.#handle = handle;
    closeWhenCollected(this, handle);
  }

  info(): LinkInfo {
    const { id, type, programId, words } = this.#native.linkInfo(this.#handle);
    const common = { type: linkType.nameOf(type), id, programId };
    switch (common.type) {
      case 'tcx':
        return { ...common, ifindex: words[0], attachType: attachType.nameOf(words[1]) };
      case 'xdp':
        return { ...common, ifindex: words[0] };
      case 'cgroup':
        return {
          ...common,
          cgroupId: (BigInt(words[1]) << 32n) | BigInt(words[0]),
          attachType: attachType.nameOf(words[2]),
        };
      case 'netns':
        return { ...common, attachType: attachType.nameOf(words[1]) };
      default:
        return common;
    }
  }

  update(program: BpfProgram): void {
    this.#native.linkUpdate(this.#handle, program.handle);
  }

  detach(): void {
    this.#native.linkDetach(this.#handle);
  }

  pin(path: string, options?: PinOptions): void {
    pinTo((at) => this.#native.linkPin(this.#handle, at), path, options);
  }

  close(): void {
    closeNow(this, this.#handle);
    this.#handle = closedHandle as LinkHandle;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
