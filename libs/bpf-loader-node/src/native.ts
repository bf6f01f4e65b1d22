// SPDX-License-Identifier: Apache-2.0
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { WeirError } from '@weir/errors';
import { errorFromNative, type NativeFailure } from './kernel-error.ts';

const addonName = 'bpf-loader.node';

/** What every part of the addon shares. */
export interface CoreBinding {
  setErrorFactory(factory: (failure: NativeFailure) => WeirError): void;
  /** Closes any native object; false if it was closed already. Never throws. */
  close(handle: number): boolean;
}

/** Number that stands for an open native object; only the addon gives meaning to it. */
export type NativeHandle = number & { readonly __brand: 'NativeHandle' };

/** A handle that was never given out: every use of it throws "… is closed". */
export const closedHandle = 0 as NativeHandle;

let loaded: CoreBinding | undefined;

/**
 * The addon, loaded at the first call. It is looked for next to this file (a bundled service) and in `build/` of this
 * package (a source tree).
 */
export function nativeAddon<Binding>(): Binding & CoreBinding {
  loaded ??= loadAddon();
  return loaded as Binding & CoreBinding;
}

function loadAddon(): CoreBinding {
  const candidates = [`./${addonName}`, `../build/${addonName}`].map((p) => fileURLToPath(new URL(p, import.meta.url)));
  const path = candidates.find((p) => existsSync(p));
  if (path === undefined) {
    throw new WeirError(
      'FAILED_PRECONDITION',
      `Cannot find the native addon at ${candidates.map((p) => `"${p}"`).join(' or ')}: run "make build"`,
      { details: { candidates } },
    );
  }
  let addon: CoreBinding;
  try {
    addon = createRequire(import.meta.url)(path) as CoreBinding;
  } catch (error) {
    throw new WeirError('FAILED_PRECONDITION', `Cannot load the native addon "${path}": run "make build" again`, {
      cause: error,
      details: { path },
    });
  }
  addon.setErrorFactory(errorFromNative);
  return addon;
}

// A forgotten close() must not leak a descriptor for ever; the addon ignores a handle that is closed already.
const forgotten = new FinalizationRegistry<NativeHandle>((handle) => {
  loaded?.close(handle);
});

/** Closes `handle` when `owner` is collected without having been closed. */
export function closeWhenCollected(owner: object, handle: NativeHandle): void {
  forgotten.register(owner, handle, owner);
}

/** Closes a handle now and forgets its owner; closing twice is harmless. */
export function closeNow(owner: object, handle: NativeHandle): void {
  forgotten.unregister(owner);
  loaded?.close(handle);
}
