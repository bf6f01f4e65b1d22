// SPDX-License-Identifier: Apache-2.0
import { renameSync, unlinkSync } from 'node:fs';
import { getSystemErrorMessage } from 'node:util';
import { bpfAddon } from './bpf-binding.ts';
import { KernelError } from './kernel-error.ts';

/** How to pin. */
export interface PinOptions {
  /** Take the place of what is pinned there, in one step; otherwise that is an ALREADY_EXISTS error. */
  readonly replace?: boolean;
}

/** A pin made under another name, which takes its place at `commit`. */
export interface PendingPin {
  commit(): void;
  undo(): void;
}

/** Pins with `pinAt`, directly or by way of a rename, so that the path always names something. */
export function pinTo(pinAt: (path: string) => void, path: string, options?: PinOptions): void {
  pinAside(pinAt, path, options).commit();
}

/** The first half of `pinTo`: all that can fail for want of rights or room. */
export function pinAside(
  pinAt: (path: string) => void,
  path: string,
  { replace = false }: PinOptions = {},
): PendingPin {
  // Not with a dot: the BPF file system reserves names that have one.
  const at = replace ? `${path}~` : path;
  if (replace) unpin(at);
  pinAt(at);
  return {
    commit: () => {
      if (replace) renameSync(at, path);
    },
    undo: () => unpin(at),
  };
}

/** Removes a pin; false if there was none. What was pinned lives on while anything else refers to it. */
export function unpin(path: string): boolean {
  try {
    unlinkSync(path);
    return true;
  } catch (error) {
    const { code, errno } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return false;
    throw new KernelError({
      message: `Cannot remove the pin "${path}"`,
      operation: 'unlink',
      errno: -(errno ?? 0),
      errnoName: code ?? 'unknown',
      errnoText: getSystemErrorMessage(errno ?? 0),
    });
  }
}

/** Mounts a BPF file system on an existing directory; nothing happens if one is mounted there. */
export function mountBpffs(path: string): void {
  bpfAddon().mountBpffs(path);
}

/** Unmounts a BPF file system; every pin in it is gone. */
export function unmountBpffs(path: string): void {
  bpfAddon().unmountBpffs(path);
}
