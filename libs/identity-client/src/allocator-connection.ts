// SPDX-License-Identifier: Apache-2.0
import type { RpcClientOptions, TlsIdentity } from '@weir/rpc';

// What the certificate of every allocator carries: it says what it is, not where it runs.
const serverName = 'identity-allocator.weir';

/** How to reach the allocators: their addresses, and with TLS the name that they must have. */
export const allocatorConnection = (options: {
  readonly address: string;
  readonly tls?: TlsIdentity;
  readonly deadlineMs?: number;
}): Pick<RpcClientOptions, 'address' | 'tls' | 'deadlineMs'> => ({
  address: options.address,
  ...(options.deadlineMs !== undefined && { deadlineMs: options.deadlineMs }),
  ...(options.tls && { tls: { identity: options.tls, serverName } }),
});
