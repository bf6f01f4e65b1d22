// SPDX-License-Identifier: Apache-2.0
import { request as httpRequest } from 'node:http';
import { WeirError, errorCatalogue, type ErrorCode } from '@weir/errors';
import type { SupervisorApi, SupervisorOperation } from './api.ts';

/** Longer than anything that the supervisor waits for itself. */
const deadlineMs = 120_000;

/** Calls the supervisor of a lab. UNAVAILABLE when there is none; otherwise the supervisor's own errors. */
export function createSupervisorClient(socketPath: string): SupervisorApi {
  const call = async <Operation extends SupervisorOperation>(
    operation: Operation,
    input: unknown = {},
  ): Promise<Awaited<ReturnType<SupervisorApi[Operation]>>> => {
    const { status, body } = await post(socketPath, `/v1/${operation}`, JSON.stringify(input));
    const value: unknown = JSON.parse(body);
    if (status === 200) return value as Awaited<ReturnType<SupervisorApi[Operation]>>;
    const { code, message, details } = value as { code: string; message: string; details: Record<string, unknown> };
    throw new WeirError(Object.hasOwn(errorCatalogue, code) ? (code as ErrorCode) : 'INTERNAL', message, { details });
  };
  return {
    status: () => call('status'),
    stopService: (input) => call('stopService', input),
    startService: (input) => call('startService', input),
    addPod: (input) => call('addPod', input),
    removePod: (input) => call('removePod', input),
    listPods: () => call('listPods'),
  };
}

function post(socketPath: string, path: string, body: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const unreachable = (cause: Error): void =>
      reject(new WeirError('UNAVAILABLE', `The lab's supervisor cannot be reached: ${cause.message}`, { cause }));
    const request = httpRequest({ socketPath, path, method: 'POST', agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', unreachable);
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }));
    });
    request.setTimeout(deadlineMs, () => {
      request.destroy(new WeirError('TIMEOUT', `no answer within ${deadlineMs} ms`));
    });
    request.on('error', unreachable);
    request.end(body);
  });
}
