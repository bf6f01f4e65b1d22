// SPDX-License-Identifier: Apache-2.0
import type { Reader, Writer } from 'protobufjs/minimal.js';

/** What protobufjs generates for a message: encoding takes any plain object, decoding gives every field its default. */
interface MessageCodec<Plain, Decoded> {
  encode(message: Plain, writer?: Writer): Writer;
  decode(reader: Reader | Uint8Array, length?: number): Decoded;
}

/** One gRPC method in the shape that grpc-js takes, with its message types: what is sent, and what arrives. */
export interface MethodDefinition<
  RequestPlain,
  Request,
  ResponsePlain,
  Response,
  RequestStream extends boolean = boolean,
  ResponseStream extends boolean = boolean,
> {
  readonly path: string;
  readonly requestStream: RequestStream;
  readonly responseStream: ResponseStream;
  readonly requestSerialize: (message: RequestPlain) => Buffer;
  readonly requestDeserialize: (bytes: Buffer) => Request;
  readonly responseSerialize: (message: ResponsePlain) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Response;
}

// What many streams send is encoded for the first of them.
const sharedBytes = new WeakMap<object, Buffer | undefined>();

/** The same message, which is encoded once, however many streams send it; it must not change any more. */
export function encodedOnce<Message extends object>(message: Message): Message {
  sharedBytes.set(message, undefined);
  return message;
}

const serializer =
  <Plain extends object>(codec: MessageCodec<Plain, unknown>) =>
  (message: Plain): Buffer => {
    const known = sharedBytes.get(message);
    if (known !== undefined) return known;
    const bytes = codec.encode(message).finish();
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (sharedBytes.has(message)) sharedBytes.set(message, buffer);
    return buffer;
  };

/** Used by the generated service definitions only. */
export const method = <
  RequestPlain extends object,
  Request,
  ResponsePlain extends object,
  Response,
  const RequestStream extends boolean,
  const ResponseStream extends boolean,
>(spec: {
  readonly path: string;
  readonly requestStream: RequestStream;
  readonly responseStream: ResponseStream;
  readonly request: MessageCodec<RequestPlain, Request>;
  readonly response: MessageCodec<ResponsePlain, Response>;
}): MethodDefinition<RequestPlain, Request, ResponsePlain, Response, RequestStream, ResponseStream> => ({
  path: spec.path,
  requestStream: spec.requestStream,
  responseStream: spec.responseStream,
  requestSerialize: serializer(spec.request),
  requestDeserialize: (bytes) => spec.request.decode(bytes),
  responseSerialize: serializer(spec.response),
  responseDeserialize: (bytes) => spec.response.decode(bytes),
});
