// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { closedHandle, closeNow, closeWhenCollected } from './native.ts';
import type { NetnsReference } from './netns-path.ts';
import { socketAddon, type NativeNetns, type NetnsHandle } from './socket-binding.ts';

/**
 * A network namespace that is held open: it lives on, with everything in it, until `close()`, even when its path is gone
 * and no process is in it. After `close()` every use throws FAILED_PRECONDITION.
 */
export class NetworkNamespace implements Disposable {
  readonly path: string;
  /** Two namespaces are the same one exactly when `inode` and `device` are equal. */
  readonly inode: number;
  readonly device: number;
  readonly #fd: number;
  #handle: NetnsHandle;

  /** Takes over a handle of the addon: made by {@link openNetworkNamespace}. */
  constructor(path: string, native: NativeNetns) {
    this.path = path;
    this.inode = native.inode;
    this.device = native.device;
    this.#fd = native.fd;
    this.#handle = native.handle;
    closeWhenCollected(this, native.handle);
  }

  /** For the other parts of this library. */
  get handle(): NetnsHandle {
    return this.#handle;
  }

  /** Descriptor of this process, for messages to the kernel that name the namespace; valid until `close()`. */
  get fd(): number {
    if (this.#handle === closedHandle) {
      throw new WeirError('FAILED_PRECONDITION', `Network namespace "${this.path}" is closed`);
    }
    return this.#fd;
  }

  /** Whether both are handles of one namespace. */
  isSameAs(other: NetworkNamespace): boolean {
    return this.inode === other.inode && this.device === other.device;
  }

  /** Lets the namespace go; work that is under way in it finishes first. Closing twice is harmless. */
  close(): void {
    closeNow(this, this.#handle);
    this.#handle = closedHandle as NetnsHandle;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * Opens a network namespace by its path: `/run/netns/NAME`, `/proc/PID/ns/net`. Fails with NOT_FOUND if there is nothing
 * there, with INVALID_ARGUMENT if it is anything else than a network namespace.
 */
export function openNetworkNamespace(path: string): NetworkNamespace {
  return new NetworkNamespace(path, socketAddon().netnsOpen(path));
}

/** For the other parts of this library: calls `act` with the handle of a namespace, opened for the call if it is a path. */
export function useNamespace<Netns extends NetnsReference | undefined, Result>(
  netns: Netns,
  act: (handle: NetnsHandle | (Netns & undefined)) => Result,
): Result {
  if (typeof netns !== 'string') return act(netns?.handle as NetnsHandle | (Netns & undefined));
  using opened = openNetworkNamespace(netns);
  return act(opened.handle);
}

/** Writes a whole file that means something else in each network namespace, below `/proc/sys/net`; off the main thread. */
export async function writeFileInNetns(netns: NetnsReference, path: string, text: string): Promise<void> {
  const bytes = new TextEncoder().encode(text);
  await useNamespace(netns, (handle) => socketAddon().netnsWriteFile(handle, path, bytes));
}

/** Reads such a file, at most 64 KiB of it; off the main thread. */
export async function readFileInNetns(netns: NetnsReference, path: string): Promise<string> {
  return await useNamespace(netns, (handle) => socketAddon().netnsReadFile(handle, path));
}
