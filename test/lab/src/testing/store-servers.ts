// SPDX-License-Identifier: Apache-2.0
// Which stores the labs of tests can have: etcd where it is installed, Consul from the assets beside the repository.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findStoreProgram, type LabStore } from '@weir/lab';

/** A store that a lab can be brought up with, or why it cannot. */
export interface TestStore {
  readonly store: Exclude<LabStore, 'embedded'>;
  readonly skipReason: string | undefined;
  /** The server, unpacked where that is needed. */
  program(): string;
}

// Where WEIR_TEST_ASSETS says, or beside the repository.
const assets = process.env.WEIR_TEST_ASSETS ?? fileURLToPath(new URL('../../../../../shared/assets/', import.meta.url));
const unpack = join(assets, 'unpack.sh');
const unpacked = join(tmpdir(), 'weir-test-assets');

const hasConsul = findStoreProgram('consul') !== undefined || existsSync(unpack);

/** Both of them. */
export const testStores: readonly TestStore[] = [
  {
    store: 'etcd',
    skipReason: findStoreProgram('etcd') === undefined ? 'etcd is not installed' : undefined,
    program: () => findStoreProgram('etcd') ?? 'etcd',
  },
  {
    store: 'consul',
    skipReason: hasConsul ? undefined : 'Consul is not installed, and there is no shared/assets beside the repository',
    program() {
      const installed = findStoreProgram('consul');
      if (installed !== undefined) return installed;
      execFileSync('bash', [unpack, unpacked, 'consul']);
      return join(unpacked, 'consul');
    },
  },
];
