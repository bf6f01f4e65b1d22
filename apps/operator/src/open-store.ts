// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { WeirError } from '@weir/errors';
import {
  createConsulKeyValueStore,
  createEtcdKeyValueStore,
  type KeyValueStore,
  openFileKeyValueStore,
} from '@weir/shared-log';
import type { StoreOptions } from './options.ts';

/** Opens the store that the command line chose; one behind a network is reached when it is asked. */
export function openStore(options: StoreOptions): KeyValueStore {
  if (options.kind === 'file') return openFileKeyValueStore(options.path);
  const { kind, endpoints, tokenFile } = options;
  if (kind === 'etcd') return createEtcdKeyValueStore({ endpoints });
  return createConsulKeyValueStore({ endpoints, ...(tokenFile !== undefined && { token: readToken(tokenFile) }) });
}

function readToken(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    const { message } = error as Error;
    throw new WeirError('FAILED_PRECONDITION', `Cannot read the token in "${path}": ${message}`, { cause: error });
  }
}
