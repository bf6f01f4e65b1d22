// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { socketAddon, type NativeAddress } from './socket-binding.ts';

/** A socket option by its kernel name, and its value. */
export type SocketOption = readonly [name: string, value: number];

/** What can be set on a connection at any time; what is left out stays as it is. */
export interface TcpOptions {
  /** SO_MARK of the packets sent from now on. */
  readonly mark?: number;
  /** Sends small writes at once (TCP_NODELAY). */
  readonly noDelay?: boolean;
  /** Asks a silent peer whether it is there. */
  readonly keepAlive?:
    | false
    | {
        /** Silence before the first question, 1 to 32767. */
        readonly idleSeconds: number;
        /** Time between questions, 1 to 32767. */
        readonly intervalSeconds: number;
        /** Questions without an answer after which the connection is given up, 1 to 127. */
        readonly probesMax: number;
      };
  /** How long sent data may stay unacknowledged before the connection is given up; 0: the system decides. */
  readonly userTimeoutMs?: number;
}

const uint32Max = 0xffff_ffff;

let optionNumbers: ReturnType<ReturnType<typeof socketAddon>['tcpOptionNumbers']> | undefined;

/** Turns options into the triples that the addon takes; throws INVALID_ARGUMENT for a value that is no 32-bit number. */
export function encodeOptions(options: readonly SocketOption[]): Int32Array {
  optionNumbers ??= socketAddon().tcpOptionNumbers();
  const triples = new Int32Array(options.length * 3);
  let at = 0;
  for (const [name, value] of options) {
    const numbers = optionNumbers[name];
    if (numbers === undefined) throw new WeirError('INTERNAL', `Unknown socket option "${name}"`);
    if (!Number.isInteger(value) || value < 0 || value > uint32Max) {
      throw new WeirError(
        'INVALID_ARGUMENT',
        `Invalid ${name} ${value}: expected a whole number from 0 to ${uint32Max}`,
      );
    }
    triples.set([...numbers, value], at);
    at += 3;
  }
  return triples;
}

/** Sets options of the TCP connection behind a descriptor. */
export function setTcpOptions(fd: number, { mark, noDelay, keepAlive, userTimeoutMs }: TcpOptions): void {
  const options: SocketOption[] = [];
  if (mark !== undefined) options.push(['SO_MARK', mark]);
  if (noDelay !== undefined) options.push(['TCP_NODELAY', noDelay ? 1 : 0]);
  if (keepAlive !== undefined) options.push(['SO_KEEPALIVE', keepAlive === false ? 0 : 1]);
  if (typeof keepAlive === 'object') {
    options.push(['TCP_KEEPIDLE', keepAlive.idleSeconds]);
    options.push(['TCP_KEEPINTVL', keepAlive.intervalSeconds]);
    options.push(['TCP_KEEPCNT', keepAlive.probesMax]);
  }
  if (userTimeoutMs !== undefined) options.push(['TCP_USER_TIMEOUT', userTimeoutMs]);
  socketAddon().tcpSetOptions(fd, encodeOptions(options));
}

/** Address and port of an end of a socket. */
export type SocketAddress = NativeAddress;

/** This end of the socket behind a descriptor; for a transparently accepted connection, what the peer dialled. */
export function localAddress(fd: number): SocketAddress {
  return socketAddon().tcpAddress(fd, false);
}

/** The other end of the connected socket behind a descriptor. */
export function peerAddress(fd: number): SocketAddress {
  return socketAddon().tcpAddress(fd, true);
}
