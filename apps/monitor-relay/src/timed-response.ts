// SPDX-License-Identifier: Apache-2.0
import { timestampMs } from '@weir/flow';
import { google, ObserverDefinition } from '@weir/proto';
import protobuf from 'protobufjs/minimal.js';

/** A response of a node as it came, and its time: all that is needed to put it into order. */
export interface TimedResponse {
  readonly bytes: Buffer;
  readonly timeMs: number;
  /** The same to the nanosecond; undefined when the reader does not want to know. */
  readonly time: google.protobuf.Timestamp | undefined;
}

const timeField = 1_001;

/** Finds the time of a `GetFlowsResponse` without decoding the flow in it. */
export function timedResponse(bytes: Buffer): TimedResponse {
  const reader = protobuf.Reader.create(bytes);
  let time: google.protobuf.Timestamp | undefined;
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag >>> 3 === timeField) time = google.protobuf.Timestamp.decode(reader, reader.uint32());
    else reader.skipType(tag & 7);
  }
  return { bytes, time, timeMs: time === undefined ? 0 : timestampMs(time) };
}

const asIs = (bytes: Buffer): Buffer => bytes;

/** The calls to a node; flows stay bytes. */
export const nodeDefinition = {
  ...ObserverDefinition,
  getFlows: { ...ObserverDefinition.getFlows, responseDeserialize: timedResponse },
} as const;

/** The calls to the relay; flows are bytes already. */
export const relayDefinition = {
  ...ObserverDefinition,
  getFlows: { ...ObserverDefinition.getFlows, responseSerialize: asIs },
} as const;
