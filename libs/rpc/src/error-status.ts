// SPDX-License-Identifier: Apache-2.0
import { Metadata, status as Status } from '@grpc/grpc-js';
import { errorCatalogue, WeirError, type ErrorCode } from '@weir/errors';

/** What goes over the wire when a call fails. */
export interface RpcStatus {
  readonly code: Status;
  readonly details: string;
  readonly metadata?: Metadata;
}

const statusOfCode: Readonly<Record<ErrorCode, Status>> = {
  INTERNAL: Status.INTERNAL,
  INVALID_ARGUMENT: Status.INVALID_ARGUMENT,
  NOT_FOUND: Status.NOT_FOUND,
  ALREADY_EXISTS: Status.ALREADY_EXISTS,
  FAILED_PRECONDITION: Status.FAILED_PRECONDITION,
  UNAVAILABLE: Status.UNAVAILABLE,
  TIMEOUT: Status.DEADLINE_EXCEEDED,
  RESOURCE_EXHAUSTED: Status.RESOURCE_EXHAUSTED,
  PERMISSION_DENIED: Status.PERMISSION_DENIED,
  NOT_SUPPORTED: Status.UNIMPLEMENTED,
  CANCELLED: Status.CANCELLED,
  SYSTEM_CALL_FAILED: Status.UNKNOWN,
  CORRUPT_STATE: Status.DATA_LOSS,
};

const codeOfStatus: ReadonlyMap<Status, ErrorCode> = new Map<Status, ErrorCode>([
  ...Object.entries(statusOfCode).map(([code, status]): [Status, ErrorCode] => [status, code as ErrorCode]),
  [Status.UNKNOWN, 'INTERNAL'],
  [Status.OUT_OF_RANGE, 'INVALID_ARGUMENT'],
  [Status.ABORTED, 'FAILED_PRECONDITION'],
  [Status.UNAUTHENTICATED, 'PERMISSION_DENIED'],
]);

// Trailers share the peer's header budget (16 KiB in grpc-core), so both parts of an error are bounded.
const errorTrailer = 'weir-error-bin';
const detailsBytesMax = 4096;
const messageCharactersMax = 1024;

const shorten = (message: string): string =>
  message.length <= messageCharactersMax ? message : `${message.slice(0, messageCharactersMax - 1)}…`;

function encodeDetails(error: WeirError): Buffer {
  try {
    const bytes = Buffer.from(JSON.stringify({ code: error.code, details: error.details }));
    if (bytes.length <= detailsBytesMax) return bytes;
  } catch {
    // Details that JSON cannot carry are a bug of the thrower; the caller still needs the code.
  }
  return Buffer.from(JSON.stringify({ code: error.code, details: { omitted: true } }));
}

/**
 * The status that tells a client about `error`. Code and details travel in a trailer, so that the client gets the same
 * WeirError; details above 4 KiB are left out, messages are cut at 1,024 characters, stacks and causes never leave.
 */
export function statusFromError(error: WeirError): RpcStatus {
  const metadata = new Metadata();
  metadata.set(errorTrailer, encodeDetails(error));
  // The message is percent-encoded on its way, which a lone surrogate would break.
  return { code: statusOfCode[error.code], details: shorten(error.message).toWellFormed(), metadata };
}

interface WireError {
  readonly code: ErrorCode;
  readonly details: Record<string, unknown>;
}

function decodeTrailer(metadata: Metadata | undefined): WireError | undefined {
  const [bytes] = metadata?.get(errorTrailer) ?? [];
  if (bytes === undefined) return undefined;
  try {
    const parsed = JSON.parse(bytes.toString()) as { code?: unknown; details?: unknown };
    if (typeof parsed.code !== 'string' || !Object.hasOwn(errorCatalogue, parsed.code)) return undefined;
    const details = typeof parsed.details === 'object' && parsed.details !== null ? parsed.details : {};
    return { code: parsed.code as ErrorCode, details: details as Record<string, unknown> };
  } catch {
    // A trailer that is not ours says nothing; the status code is enough.
    return undefined;
  }
}

/** The WeirError behind a failed call: the server's own where it sent one, else the nearest code. */
export function errorFromStatus(status: RpcStatus): WeirError {
  const sent = decodeTrailer(status.metadata);
  const code = sent?.code ?? codeOfStatus.get(status.code) ?? 'INTERNAL';
  return new WeirError(code, status.details, { details: sent?.details ?? {} });
}
