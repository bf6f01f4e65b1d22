// SPDX-License-Identifier: Apache-2.0
import { readlinkSync, symlinkSync } from 'node:fs';
import { WeirError } from '@weir/errors';
import { bpfAddon } from './bpf-binding.ts';
import type { BpfProgram } from './bpf-program.ts';
import type { Link, LinkInfo } from './link.ts';
import { pinTo, unpin, type PinOptions } from './pin.ts';

/** Where a direct-action filter of the clsact qdisc is. */
export interface TcFilterPlace {
  readonly ifindex: number;
  readonly direction: 'ingress' | 'egress';
  /** 1 to 65535; lower numbers run first. */
  readonly priority: number;
  /** More than 0; tells filters of one priority apart. */
  readonly handle: number;
  /** Path of the network namespace that has the interface; the caller's own unless given. */
  readonly netns?: string;
}

/** What a pin of a filter says: a symbolic link in the BPF file system, because the kernel pins no filters. */
const pinPattern = /^weir-tc-filter:(\d+):(ingress|egress):(\d+):(\d+):(.*)$/;

/**
 * A filter that behaves like a link: closing it detaches it unless it is pinned. Unlike a link it outlives a process that
 * dies without closing it; attaching again at the same place takes it over.
 */
export class TcFilterLink implements Link {
  readonly #place: TcFilterPlace;
  #state: 'open' | 'pinned' | 'closed';

  constructor(place: TcFilterPlace, state: 'open' | 'pinned') {
    this.#place = place;
    this.#state = state;
  }

  info(): LinkInfo {
    const { ifindex, direction } = this.#openPlace();
    const programId = bpfAddon().tcQuery(...this.#where());
    return {
      type: 'tc_filter',
      id: 0,
      programId,
      ifindex: programId === 0 ? 0 : ifindex,
      attachType: `tcx_${direction}`,
    };
  }

  update(program: BpfProgram): void {
    this.#openPlace();
    bpfAddon().tcAttach(...this.#where(), program.handle, true);
  }

  detach(): void {
    this.#openPlace();
    bpfAddon().tcDetach(...this.#where());
  }

  pin(path: string, options?: PinOptions): void {
    const { ifindex, direction, priority, handle, netns = '' } = this.#openPlace();
    const target = `weir-tc-filter:${ifindex}:${direction}:${priority}:${handle}:${netns}`;
    pinTo((at) => symlinkSync(target, at), path, options);
    this.#state = 'pinned';
  }

  close(): void {
    if (this.#state === 'open') bpfAddon().tcDetach(...this.#where());
    this.#state = 'closed';
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #openPlace(): TcFilterPlace {
    if (this.#state === 'closed') throw new WeirError('FAILED_PRECONDITION', 'Link is closed');
    return this.#place;
  }

  #where(): [number, boolean, number, number, string] {
    const { ifindex, direction, priority, handle, netns = '' } = this.#place;
    return [ifindex, direction === 'ingress', priority, handle, netns];
  }
}

/** Puts a program there, in place of a filter that is there already. */
export function attachTcFilter(program: BpfProgram, place: TcFilterPlace): TcFilterLink {
  const { ifindex, direction, priority, handle, netns = '' } = place;
  bpfAddon().tcAttach(ifindex, direction === 'ingress', priority, handle, netns, program.handle, true);
  return new TcFilterLink(place, 'open');
}

/** The filter that a symbolic link at `path` stands for; `undefined` if there is no such thing. */
export function openPinnedTcFilter(path: string): TcFilterLink | undefined {
  const [, ifindex, direction, priority, handle, netns] = pinPattern.exec(readLink(path)) ?? [];
  if (direction !== 'ingress' && direction !== 'egress') return undefined;
  const place: TcFilterPlace = {
    ifindex: Number(ifindex),
    direction,
    priority: Number(priority),
    handle: Number(handle),
  };
  const link = new TcFilterLink(netns === '' || netns === undefined ? place : { ...place, netns }, 'pinned');
  if (link.info().programId !== 0) return link;
  unpin(path);
  throw new WeirError('NOT_FOUND', `The filter pinned at "${path}" is gone from interface ${ifindex}; removed the pin`);
}

function readLink(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return ''; // Not a symbolic link: a real pin, or nothing.
  }
}
