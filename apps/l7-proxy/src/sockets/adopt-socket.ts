// SPDX-License-Identifier: Apache-2.0
import { Socket, type SocketConstructorOpts } from 'node:net';
import { assert } from '@weir/errors';
import type { Receiver } from './socket-factory.ts';

interface SocketInternals {
  _handle: object | null | undefined;
}

const socketOptions = (receiver: Receiver): SocketConstructorOpts => ({
  allowHalfOpen: true,
  onread: { buffer: receiver.buffer, callback: receiver.callback },
});

/** Makes a connected descriptor a socket that reads into the receiver's buffer. */
export function socketFromDescriptor(fd: number, receiver: Receiver): Socket {
  return new Socket({ ...socketOptions(receiver), fd, readable: true, writable: true });
}

/**
 * Makes a new socket of an accepted one, which must not be used any more, that reads into the receiver's buffer. Node offers
 * this for the sockets that it opens and for descriptors, but not for accepted ones; the alternative, a fresh buffer for
 * every read, costs a third of the requests per second. What is used here for it, the property `_handle` and the option
 * `handle`, is not documented, and has been there since Node 0.x.
 */
export function socketFromAccepted(accepted: Socket, receiver: Receiver): Socket {
  const internals = accepted as unknown as SocketInternals;
  const handle = internals._handle;
  assert(typeof handle === 'object' && handle !== null, 'an accepted socket has a handle');
  internals._handle = null;
  return new Socket({ ...socketOptions(receiver), handle } as unknown as SocketConstructorOpts);
}
