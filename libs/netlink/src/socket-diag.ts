// SPDX-License-Identifier: Apache-2.0
import { littleEndian } from './byte-order.ts';
import { createMessageWriter } from './message-writer.ts';
import { nothing, type Operation } from './operation.ts';
import { AF, NLM_F } from './rtnetlink-constants.ts';

/** A UDP socket that is connected: who it talks to, and what the kernel knows it by. */
export interface ConnectedUdpSocket {
  /** What `bpf_get_socket_cookie` says of it. */
  readonly cookie: bigint;
  /** Of the socket: an IPv6 socket may talk to an IPv4 address. */
  readonly family: 'ipv4' | 'ipv6';
  /** 16 bytes; IPv4 as `::ffff:a.b.c.d`. */
  readonly peerAddress: Uint8Array;
  readonly peerPort: number;
  /** `struct inet_diag_sockid`, as the kernel gave it. */
  readonly id: Uint8Array;
}

// linux/sock_diag.h, linux/inet_diag.h: kernel ABI.
const sockDiagByFamily = 20;
const sockDestroy = 21;
const protocolUdp = 17;
const stateConnected = 1 << 1;
const idBytes = 48;
const idOffsetInRequest = 8;
const idOffsetInAnswer = 4;
const idOffsets = { peerPort: 2, peerAddress: 20, cookie: 40 } as const;

function makeRequest(request: {
  readonly type: number;
  readonly flags: number;
  readonly family: 'ipv4' | 'ipv6';
  readonly id: Uint8Array;
}): Uint8Array {
  const body = new Uint8Array(idOffsetInRequest + idBytes);
  const view = new DataView(body.buffer);
  view.setUint8(0, request.family === 'ipv4' ? AF.INET : AF.INET6);
  view.setUint8(1, protocolUdp);
  view.setUint32(4, stateConnected, littleEndian);
  body.set(request.id, idOffsetInRequest);
  const writer = createMessageWriter({ type: request.type, flags: request.flags });
  writer.raw(body);
  return writer.finish();
}

function decodeSocket(body: Uint8Array): ConnectedUdpSocket {
  const family = body[0] === AF.INET ? 'ipv4' : 'ipv6';
  // A copy, of whatever kind the bytes are: a Buffer's own slice() is none.
  const id = Uint8Array.from(body.subarray(idOffsetInAnswer, idOffsetInAnswer + idBytes));
  const view = new DataView(id.buffer);
  const address = id.slice(idOffsets.peerAddress, idOffsets.peerAddress + 16);
  const peerAddress =
    family === 'ipv6' ? address : Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...address.subarray(0, 4));
  return {
    ...{ family, peerAddress, id },
    peerPort: view.getUint16(idOffsets.peerPort, false),
    // Two words, the lower first.
    cookie:
      (BigInt(view.getUint32(idOffsets.cookie + 4, littleEndian)) << 32n) |
      BigInt(view.getUint32(idOffsets.cookie, littleEndian)),
  };
}

/** Lists connected UDP sockets of one family. For a {@link createNetlink} of the protocol `sock-diag`. */
export function listConnectedUdpSockets(family: 'ipv4' | 'ipv6'): Operation<ConnectedUdpSocket[]> {
  const request = { type: sockDiagByFamily, flags: NLM_F.DUMP, family, id: new Uint8Array(idBytes) };
  return {
    description: `Listing UDP sockets of ${family}`,
    message: makeRequest(request),
    isDump: true,
    decode: (bodies) => bodies.map(decodeSocket),
  };
}

/** Ends a socket: its owner's next call fails with ECONNABORTED. NOT_FOUND when it is gone or another has its addresses. */
export function destroyUdpSocket({ family, id, cookie }: ConnectedUdpSocket): Operation<void> {
  return {
    description: `Ending the UDP socket with the cookie ${cookie}`,
    message: makeRequest({ type: sockDestroy, flags: 0, family, id }),
    isDump: false,
    decode: nothing,
  };
}
