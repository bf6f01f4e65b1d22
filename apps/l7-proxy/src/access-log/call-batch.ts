// SPDX-License-Identifier: Apache-2.0
import { varintBytesMax, varintLength, writeVarint } from './varint.ts';

/** One call, in the parts that it is put together from. */
export interface LoggedCall {
  /** Encoded fields of `HttpCall`: of the connection, and of the kind of call. */
  readonly flowFields: Uint8Array;
  readonly callFields: Uint8Array;
  /** Encoded fields of this call alone. */
  readonly traceFields: Uint8Array;
  readonly timeNs: number;
  readonly latencyNs: number;
  readonly status: number;
  /** 0 or 1: HTTP/1.x. */
  readonly minorVersion: number;
}

// Tags of proto/weir/proxy/v1/proxy.proto: (field number << 3) | wire type.
const Tag = {
  PROXY_MESSAGE_ACCESS_LOG: 0x1a,
  ACCESS_LOG_CALLS: 0x0a,
  ACCESS_LOG_LOST: 0x10,
  CALL_TIME_NS: 0x08,
  CALL_LATENCY_NS: 0x10,
} as const;
const protocolFields = ['HTTP/1.0', 'HTTP/1.1'].map((name) =>
  Buffer.from([0x8a, 0x01, name.length, ...Buffer.from(name)]),
);
const statusTag = [0x90, 0x01] as const;

/** Of one message. */
export const batchBytesMax = 64 * 1024;
// Room before the calls for what is only known at the end: tag and length of the access log.
const headroom = 1 + varintBytesMax;
const lostBytesMax = 1 + varintBytesMax;
const callOverheadMax = 1 + varintBytesMax + 2 * (1 + varintBytesMax) + 16;

/**
 * Builds one `ProxyMessage` with an access log, each call as it comes: what differs from call to call is three numbers,
 * the rest is copied. A general encoder would take more time than judging the call did.
 */
export class CallBatch {
  readonly #bytes = Buffer.allocUnsafeSlow(batchBytesMax);
  readonly #callsMax: number;
  #length = headroom;
  count = 0;

  constructor(callsMax: number) {
    this.#callsMax = callsMax;
  }

  /** False when there is no room for the call any more. */
  add(call: LoggedCall): boolean {
    const { flowFields, callFields, traceFields } = call;
    const bytes = this.#bytes;
    const fixed = flowFields.length + callFields.length + traceFields.length;
    if (this.count === this.#callsMax || this.#length + fixed + callOverheadMax + lostBytesMax > batchBytesMax)
      return false;
    const protocol = protocolFields[call.minorVersion] as Buffer;
    const length =
      fixed +
      protocol.length +
      4 +
      varintLength(call.timeNs) +
      varintLength(call.latencyNs) +
      varintLength(call.status);
    let position = this.#length;
    bytes[position++] = Tag.ACCESS_LOG_CALLS;
    position = writeVarint(bytes, position, length);
    bytes[position++] = Tag.CALL_TIME_NS;
    position = writeVarint(bytes, position, call.timeNs);
    bytes[position++] = Tag.CALL_LATENCY_NS;
    position = writeVarint(bytes, position, call.latencyNs);
    bytes[position++] = statusTag[0];
    bytes[position++] = statusTag[1];
    position = writeVarint(bytes, position, call.status);
    bytes.set(protocol, position);
    bytes.set(flowFields, position + protocol.length);
    bytes.set(callFields, position + protocol.length + flowFields.length);
    if (traceFields.length > 0) bytes.set(traceFields, position + protocol.length + fixed - traceFields.length);
    this.#length = position + protocol.length + fixed;
    this.count++;
    return true;
  }

  /** The message, in a buffer of its own; the batch is empty afterwards. */
  seal(lost: number): Buffer {
    const bytes = this.#bytes;
    let end = this.#length;
    if (lost > 0) {
      bytes[end++] = Tag.ACCESS_LOG_LOST;
      end = writeVarint(bytes, end, lost);
    }
    const length = end - headroom;
    const start = headroom - 1 - varintLength(length);
    bytes[start] = Tag.PROXY_MESSAGE_ACCESS_LOG;
    writeVarint(bytes, start + 1, length);
    this.#length = headroom;
    this.count = 0;
    return Buffer.from(bytes.subarray(start, end));
  }
}
