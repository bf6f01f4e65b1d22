// SPDX-License-Identifier: Apache-2.0
import { bpfAddon, type BpfBinding, type NativeProgramInfo, type ProgramHandle } from './bpf-binding.ts';
import { programType, type ProgramType } from './kernel-enums.ts';
import { closedHandle, closeNow, closeWhenCollected } from './native.ts';
import { enterablePath, type NetnsReference } from './netns-path.ts';
import { pinTo, type PinOptions } from './pin.ts';

/** Room that a program may add to a packet in a test run, unless the caller gives a buffer. */
const testRunGrowthBytes = 1024;

/** What the kernel says about a loaded program. */
export interface ProgramInfo {
  /** At most 15 characters. */
  readonly name: string;
  readonly type: ProgramType | `unknown(${number})`;
  readonly id: number;
  /** Hash of the instructions, in hexadecimal; equal for equal programs apart from the maps that they use. */
  readonly tag: string;
  readonly jitedBytes: number;
  readonly translatedBytes: number;
  /** Instructions that the verifier walked through (5.16; 0 before). */
  readonly verifiedInstructions: number;
  /** These two rise only while `kernel.bpf_stats_enabled` is set. */
  readonly runCount: number;
  readonly runTimeNs: number;
}

/** What a program is run with. */
export interface TestRunOptions {
  /** The packet, from the Ethernet header; at least 14 bytes. */
  readonly data?: Uint8Array;
  /** Takes the packet as the program left it; made with room for 1024 more bytes unless given. */
  readonly into?: Uint8Array;
  /** The context: a `__sk_buff` (see `encodeSkbContext`) or `xdp_md` as the program type has it. */
  readonly context?: Uint8Array;
  /** How often; the packet is the one that the last run left. 1 unless told. */
  readonly repeat?: number;
  /** The network namespace that the packet is in, with its interfaces and sockets; the caller's own unless given. */
  readonly netns?: NetnsReference;
}

/** What a run left behind. */
export interface TestRunResult {
  /** As a signed number: TC_ACT_UNSPEC is -1. */
  readonly retval: number;
  /** Mean of all repetitions. */
  readonly durationNs: number;
  /** The packet afterwards; empty if none went in. */
  readonly data: Uint8Array;
  /** The context afterwards; empty if none went in. */
  readonly context: Uint8Array;
}

/** A loaded program. After `close()` every call throws FAILED_PRECONDITION; links and pins keep the program alive. */
export class BpfProgram implements Disposable {
  readonly #native: BpfBinding;
  #handle: ProgramHandle;

  /** Takes over a handle of the addon: made by `loadObject`, `openPinnedProgram` and `openProgramById`. */
  constructor(handle: ProgramHandle) {
    this.#native = bpfAddon();
    this.#handle = handle;
    closeWhenCollected(this, handle);
  }

  /** For other parts of this library. */
  get handle(): ProgramHandle {
    return this.#handle;
  }

  /** Of this process, and valid until `close()`. */
  get fd(): number {
    return this.#native.programInfo(this.#handle).fd;
  }

  /** Asks the kernel. */
  info(): ProgramInfo {
    return programInfoFromNative(this.#native.programInfo(this.#handle));
  }

  /** Runs the program on a packet in the kernel, without any interface (`BPF_PROG_TEST_RUN`). */
  testRun({ data, into, context, repeat = 1, netns }: TestRunOptions): TestRunResult {
    const dataOut = data && (into ?? new Uint8Array(data.length + testRunGrowthBytes));
    const contextOut = context && new Uint8Array(context.length);
    const buffers = [data, dataOut, context, contextOut] as const;
    const result = this.#native.programTestRun(this.#handle, ...buffers, repeat, 0, enterablePath(netns));
    return {
      retval: result.retval | 0,
      durationNs: result.durationNs,
      data: dataOut?.subarray(0, result.dataSize) ?? new Uint8Array(),
      context: contextOut?.subarray(0, result.contextSize) ?? new Uint8Array(),
    };
  }

  /** Pins the program, so that it outlives this process. */
  pin(path: string, options?: PinOptions): void {
    pinTo((at) => this.#native.programPin(this.#handle, at), path, options);
  }

  /** Closes the descriptor. Closing twice is harmless. */
  close(): void {
    closeNow(this, this.#handle);
    this.#handle = closedHandle as ProgramHandle;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Opens a pinned program; NOT_FOUND if there is none, FAILED_PRECONDITION if something else is pinned there. */
export function openPinnedProgram(path: string): BpfProgram {
  return new BpfProgram(bpfAddon().programOpenPinned(path));
}

/** Opens any program of the system by its id. */
export function openProgramById(id: number): BpfProgram {
  return new BpfProgram(bpfAddon().programOpenById(id));
}

function programInfoFromNative({ fd: _fd, type, ...rest }: NativeProgramInfo): ProgramInfo {
  return { ...rest, type: programType.nameOf(type) };
}
