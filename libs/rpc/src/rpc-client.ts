// SPDX-License-Identifier: Apache-2.0
import { createSingleClient, type RpcClient, type RpcClientOptions } from './client.ts';
import { createFailoverClient } from './failover-client.ts';
import type { ServiceDefinition } from './method-types.ts';

/**
 * Makes a client; it connects at the first call, and again whenever the connection is lost. With several addresses it goes to
 * the next server when one is gone: a unary call is then repeated there, so it must be harmless to repeat.
 */
export function createRpcClient<Definition extends ServiceDefinition>(
  definition: Definition,
  options: RpcClientOptions,
): RpcClient<Definition> {
  const addresses = options.address.split(',');
  if (addresses.length === 1) return createSingleClient(definition, options);
  return createFailoverClient(definition, { ...options, addresses });
}
