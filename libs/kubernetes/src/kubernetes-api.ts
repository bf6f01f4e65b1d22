// SPDX-License-Identifier: Apache-2.0
import type { IncomingMessage } from 'node:http';
import { request as httpsRequest, type RequestOptions } from 'node:https';
import { WeirError } from '@weir/errors';
import { apiError } from './api-error.ts';
import type { KubernetesAccess } from './kubernetes-access.ts';

/** One request. */
export interface ApiRequest {
  /** `GET` by default. */
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly body?: unknown;
  /** Of the body; `application/json` by default. */
  readonly contentType?: string;
  /** Until the answer is there as a whole, or a stream begins; 30 s by default. */
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
}

/** The API of Kubernetes. What goes wrong is a WeirError: see {@link hasStatus} for what the server refuses. */
export interface KubernetesApi {
  /** Where it is, for messages. */
  readonly server: string;
  /** The answer, read as JSON; text when it is none. Rejects with UNAVAILABLE while the server is not there. */
  request<Answer = unknown>(request: ApiRequest): Promise<Answer>;
  /**
   * Resolves when an answer begins, with its lines as they come. They end when the server does, and throw when the
   * connection breaks.
   */
  open(request: ApiRequest): Promise<AsyncIterable<string>>;
}

const deadlineMsDefault = 30_000;
// More than the largest object that the server stores; a list of everything in a cluster fits, too.
const answerBytesMax = 512 * 1024 * 1024;
const lineCharsMax = 32 * 1024 * 1024;
const userAgent = 'weir';

const describe = ({ method = 'GET', path }: ApiRequest): string => `${method} ${path}`;

function targetOf(server: URL, { path, query = {} }: ApiRequest): URL {
  const url = new URL(server.pathname.replace(/\/$/, '') + path, server);
  for (const [key, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(key, value);
  return url;
}

function unreachable(request: ApiRequest, server: URL, cause: unknown): WeirError {
  const { message } = WeirError.from(cause);
  return new WeirError('UNAVAILABLE', `${describe(request)}: ${server.origin} cannot be reached: ${message}`, {
    cause,
  });
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > answerBytesMax) {
      throw new WeirError('RESOURCE_EXHAUSTED', `The answer of Kubernetes is longer than ${answerBytesMax} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parseAnswer(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

async function refusalOf(request: ApiRequest, response: IncomingMessage): Promise<WeirError> {
  const body = parseAnswer(await textOf(response));
  const afterS = Number(response.headers['retry-after']);
  const status = response.statusCode ?? 0;
  return apiError(describe(request), { status, body, ...(afterS > 0 && { retryAfterMs: afterS * 1000 }) });
}

/** Resolves with the head of the answer. */
function exchange(target: URL, options: RequestOptions, body: string | undefined): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const outgoing = httpsRequest(target, options);
    outgoing.once('response', resolve);
    outgoing.once('error', (error) => {
      // A kept connection that the server has closed in the meantime: it has seen nothing of this request, or can take it twice.
      if (outgoing.reusedSocket && options.method !== 'POST' && options.signal?.aborted !== true) {
        resolve(exchange(target, options, body));
      } else reject(error);
    });
    outgoing.end(body);
  });
}

/** Speaks HTTP/1.1 on connections that are kept. */
export function createKubernetesApi(access: KubernetesAccess): KubernetesApi {
  const { server } = access;

  /** Resolves with the head of an answer that is one. */
  const send = async (request: ApiRequest, signal: AbortSignal): Promise<IncomingMessage> => {
    const options = await access.authorize();
    const body = request.body === undefined ? undefined : JSON.stringify(request.body);
    const headers = {
      ...(options.headers as Record<string, string> | undefined),
      accept: 'application/json',
      'user-agent': userAgent,
      ...(body !== undefined && {
        'content-type': request.contentType ?? 'application/json',
        'content-length': String(Buffer.byteLength(body)),
      }),
    };
    const target = targetOf(server, request);
    const response = await exchange(target, { ...options, headers, signal, method: request.method ?? 'GET' }, body);
    const status = response.statusCode ?? 0;
    if (status < 200 || status > 299) throw await refusalOf(request, response);
    return response;
  };

  /** Runs a task with a deadline; what goes wrong on the way comes out as one of our errors. */
  const guarded = async <Result>(
    request: ApiRequest,
    task: (signal: AbortSignal) => Promise<Result>,
  ): Promise<Result> => {
    const { deadlineMs = deadlineMsDefault, signal } = request;
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), deadlineMs);
    const either = signal === undefined ? late.signal : AbortSignal.any([signal, late.signal]);
    try {
      return await task(either);
    } catch (error) {
      if (error instanceof WeirError) throw error;
      if (signal?.aborted === true) throw new WeirError('CANCELLED', `${describe(request)} was given up`);
      if (late.signal.aborted) {
        throw new WeirError('TIMEOUT', `${describe(request)}: no answer of ${server.origin} within ${deadlineMs} ms`);
      }
      throw unreachable(request, server, error);
    } finally {
      clearTimeout(timer);
    }
  };

  return {
    server: server.origin,
    request: <Answer>(request: ApiRequest) =>
      guarded(request, async (signal) => parseAnswer(await textOf(await send(request, signal))) as Answer),
    async open(request) {
      const response = await guarded(request, (signal) => send(request, signal));
      return linesUntilBroken(response, (error) => {
        if (request.signal?.aborted === true) return new WeirError('CANCELLED', `${describe(request)} was given up`);
        return unreachable(request, server, error);
      });
    },
  };
}

async function* linesUntilBroken(
  response: IncomingMessage,
  explain: (error: unknown) => WeirError,
): AsyncIterable<string> {
  try {
    yield* linesOf(response);
  } catch (error) {
    throw error instanceof WeirError ? error : explain(error);
  } finally {
    response.destroy();
  }
}

async function* linesOf(response: IncomingMessage): AsyncIterable<string> {
  response.setEncoding('utf8');
  let rest = '';
  for await (const chunk of response as AsyncIterable<string>) {
    rest += chunk;
    if (!chunk.includes('\n')) {
      if (rest.length > lineCharsMax) {
        throw new WeirError('RESOURCE_EXHAUSTED', `A line of Kubernetes is longer than ${lineCharsMax} characters`);
      }
      continue;
    }
    const lines = rest.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line !== '') yield line;
  }
}
