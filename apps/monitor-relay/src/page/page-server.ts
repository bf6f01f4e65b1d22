// SPDX-License-Identifier: Apache-2.0
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { WeirError } from '@weir/errors';
import type { observer } from '@weir/proto';
import { readKeyPair, watchFiles } from '@weir/rpc';
import type { Logger } from '@weir/telemetry';
import type { NodePool } from '../node-pool.ts';
import { type PageTraffic, streamFlows } from './flow-stream.ts';
import { createPageAccess, type PageAccess } from './page-access.ts';
import { readPageFiles } from './page-files.ts';
import type { PageOptions } from './page-flags.ts';
import { readFlowsRequest } from './page-request.ts';

export interface PageServerOptions extends PageOptions {
  readonly pool: Pick<NodePool, 'list' | 'isListening'>;
  /** The flows of all nodes for a reader, encoded, in order of time. */
  readonly flows: (request: observer.GetFlowsRequest, signal: AbortSignal) => AsyncIterable<Buffer>;
  readonly traffic: PageTraffic;
  readonly logger: Logger;
}

/** A page that is served. */
export interface PageServer {
  /** Where a browser finds it. */
  readonly url: string;
  close(): Promise<void>;
}

const connectionsMax = 256;
const readersMax = 32;
const requestTimeoutMs = 10_000;

/** What a browser may do with the page: run and show what comes from here, as files, and nothing else. */
const pageHeaders = {
  'content-security-policy': [
    ...["default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'", "connect-src 'self'"],
    ...["base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"],
    // Nothing of the page makes markup out of text; with this nothing can.
    ...["require-trusted-types-for 'script'", "trusted-types 'none'"],
  ].join('; '),
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=()',
  'cache-control': 'no-store',
};

function refuse(response: ServerResponse, status: number, message: string): void {
  const allow = status === 405 ? { allow: 'GET, POST' } : {};
  response.writeHead(status, { ...pageHeaders, ...allow, 'content-type': 'application/json' });
  response.end(`${JSON.stringify({ message })}\n`);
}

const statusOf = ({ code }: WeirError): number =>
  code === 'INVALID_ARGUMENT' ? 400 : code === 'RESOURCE_EXHAUSTED' ? 413 : 500;

/** Answers POST `/flows` with a stream of lines. */
async function serveFlows(
  request: IncomingMessage,
  response: ServerResponse,
  options: PageServerOptions & { readonly access: PageAccess; readonly stopping: AbortSignal },
): Promise<void> {
  const { access, traffic, pool, flows, stopping } = options;
  const refusal = access.refusal(request);
  if (refusal !== undefined) {
    traffic.refused += 1;
    return refuse(response, refusal.status, refusal.message);
  }
  // Only a page of ours can send this without the browser asking us first, and we do not answer that.
  if (!/^application\/json\b/.test(request.headers['content-type'] ?? '')) {
    return refuse(response, 415, 'Expected application/json');
  }
  const wanted = await readFlowsRequest(request).catch((error: unknown) => WeirError.from(error));
  if (wanted instanceof WeirError) return refuse(response, statusOf(wanted), wanted.message);
  if (traffic.readers >= readersMax) return refuse(response, 503, `${readersMax} pages are being served already`);
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  const signal = AbortSignal.any([gone.signal, stopping]);
  response.writeHead(200, { ...pageHeaders, 'content-type': 'application/x-ndjson' });
  response.flushHeaders();
  await streamFlows(response, { responses: flows(wanted, signal), pool, traffic, signal });
  response.end();
}

function createServer({ tls, logger }: PageServerOptions): { server: Server; stopWatching: () => void } {
  if (tls === undefined) return { server: createHttpServer() as unknown as Server, stopWatching: () => undefined };
  const read = () => (({ certificate: cert, key }) => ({ cert, key }))(readKeyPair(tls));
  const server = createHttpsServer({ ...read(), minVersion: 'TLSv1.2' });
  const stopWatching = watchFiles([tls.certificate, tls.key], () => {
    try {
      server.setSecureContext(read());
      logger.info({ path: tls.certificate }, 'Certificate of the page read again');
    } catch (error) {
      logger.warn({ error }, 'Cannot use the new certificate of the page, the old one stays');
    }
  });
  return { server, stopWatching };
}

async function listen(server: Server, { host, port, tls }: PageOptions): Promise<string> {
  const name = host.includes(':') ? `[${host}]` : host;
  await new Promise<void>((resolve, reject) => {
    server.once('error', ({ message }) =>
      reject(new WeirError('FAILED_PRECONDITION', `Cannot listen on "${name}:${port}": ${message}`)),
    );
    server.listen({ host, port }, resolve);
  });
  return `${tls === undefined ? 'http' : 'https'}://${name}:${(server.address() as AddressInfo).port}/`;
}

/**
 * Serves the page and its flows. The page itself, which says nothing of anybody, is anybody's; flows are for those whom the
 * options let in. FAILED_PRECONDITION when the address, the certificate or the token cannot be used.
 */
export async function startPageServer(options: PageServerOptions): Promise<PageServer> {
  const { logger, tokenFile } = options;
  const files = readPageFiles();
  let stopping = new AbortController();
  const onChange = (): void => {
    stopping.abort();
    stopping = new AbortController();
  };
  const access = createPageAccess(tokenFile, { onChange, logger });
  const { server, stopWatching } = createServer(options);
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const path = request.url?.split('?')[0] ?? '/';
    const file = files.get(path);
    if (file !== undefined && request.method === 'GET') {
      response.writeHead(200, { ...pageHeaders, 'content-type': file.type });
      return response.end(file.body);
    }
    if (path !== '/flows' && file === undefined) return refuse(response, 404, 'There is no such thing');
    if (path !== '/flows' || request.method !== 'POST') return refuse(response, 405, 'This is not how to ask for that');
    serveFlows(request, response, { ...options, access, stopping: stopping.signal }).catch((error: unknown) => {
      logger.warn({ error }, 'A page is not served any more');
      response.destroy();
    });
  });
  server.maxConnections = connectionsMax;
  server.requestTimeout = requestTimeoutMs;
  const url = await listen(server, options).catch((error: unknown) => {
    access.close();
    stopWatching();
    throw error;
  });
  return {
    url,
    close() {
      access.close();
      stopWatching();
      stopping.abort();
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
