// SPDX-License-Identifier: Apache-2.0
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { WeirError } from '@weir/errors';

/** Where a lab keeps identities: in the one allocator, or in a server that several share. */
export type LabStore = 'embedded' | 'consul' | 'etcd';

/** All that there are. */
export const labStores = ['embedded', 'consul', 'etcd'] as const satisfies readonly LabStore[];

/** The server of a store on this machine; undefined where it is not installed. */
export const findStoreProgram = (store: Exclude<LabStore, 'embedded'>): string | undefined =>
  (process.env.PATH ?? '')
    .split(delimiter)
    .concat('/usr/bin', '/usr/local/bin')
    .map((directory) => join(directory, store))
    .find((path) => existsSync(path));

/** The server of a store. FAILED_PRECONDITION where there is none. */
export function requireStoreProgram(store: Exclude<LabStore, 'embedded'>, given: string | undefined): string {
  const program = given ?? findStoreProgram(store);
  if (program !== undefined && existsSync(program)) return program;
  const [what, how] = { etcd: ['etcd', 'the package etcd-server has it'], consul: ['Consul', 'install it'] }[store] as [
    string,
    string,
  ];
  throw new WeirError(
    'FAILED_PRECONDITION',
    `The server of ${what} is not ${given === undefined ? 'on the PATH' : `at "${given}"`}: ${how}, or name it with --store-program`,
  );
}
