// SPDX-License-Identifier: Apache-2.0
import { type ErrorCode, WeirError } from '@weir/errors';

/** What the server says when it does not do what it is asked: a `Status` of its API. */
interface StatusFields {
  readonly kind?: unknown;
  readonly message?: unknown;
  readonly reason?: unknown;
  readonly code?: unknown;
}

// A proxy in between may answer with a whole page.
const saidCharsMax = 1_000;

const codes: Readonly<Record<number, ErrorCode>> = {
  400: 'INVALID_ARGUMENT',
  401: 'PERMISSION_DENIED',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  405: 'NOT_SUPPORTED',
  409: 'FAILED_PRECONDITION',
  410: 'FAILED_PRECONDITION',
  415: 'NOT_SUPPORTED',
  422: 'INVALID_ARGUMENT',
  504: 'TIMEOUT',
};

const statusOf = (body: unknown): StatusFields =>
  typeof body === 'object' && body !== null && (body as StatusFields).kind === 'Status' ? (body as StatusFields) : {};

/**
 * The error for an answer that is none. `details` carry the HTTP status and, where the server gives one, its own `reason`
 * (`Conflict`, `Expired`) and after how long to come back.
 */
export function apiError(what: string, answer: { status: number; body: unknown; retryAfterMs?: number }): WeirError {
  const { status, body, retryAfterMs } = answer;
  const { message, reason } = statusOf(body);
  const code = reason === 'AlreadyExists' ? 'ALREADY_EXISTS' : (codes[status] ?? 'UNAVAILABLE');
  const text = typeof message === 'string' ? message : typeof body === 'string' ? body.trim() : '';
  const said = text === '' ? `HTTP status ${status}` : text.slice(0, saidCharsMax);
  return new WeirError(code, `Kubernetes refuses ${what}: ${said}`, {
    details: {
      status,
      ...(typeof reason === 'string' && { reason }),
      ...(retryAfterMs !== undefined && { retryAfterMs }),
    },
  });
}

/** Whether an error is the server's answer with this HTTP status. */
export const hasStatus = (error: unknown, status: number): boolean =>
  error instanceof WeirError && error.details.status === status;
