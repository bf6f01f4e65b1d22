// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import type { RpcCall } from './handlers.ts';

/** The name that the certificate of a node's agent carries. */
export const certificateNameOf = (node: string): string => `${node}.node.weir`;

/**
 * Refuses a caller whose certificate is not that of the node with PERMISSION_DENIED: a node speaks for itself only. Whoever
 * comes without a certificate comes through a unix socket, or was let in by name, and is believed.
 */
export function refuseOtherNode(node: string, { callerNames }: Pick<RpcCall, 'callerNames'>): void {
  if (callerNames === undefined || callerNames.includes(certificateNameOf(node))) return;
  const found = callerNames.join(', ') || 'nothing';
  const message = `node: the caller's certificate is for "${found}", expected "${certificateNameOf(node)}"`;
  throw new WeirError('PERMISSION_DENIED', message, { details: { field: 'node' } });
}

/** Refuses everybody over TLS but the service with this name, with PERMISSION_DENIED. */
export function refuseAllBut(name: string, { callerNames }: Pick<RpcCall, 'callerNames'>): void {
  if (callerNames === undefined || callerNames.includes(name)) return;
  const found = callerNames.join(', ') || 'nothing';
  throw new WeirError('PERMISSION_DENIED', `The caller's certificate is for "${found}", expected "${name}"`);
}
