// SPDX-License-Identifier: Apache-2.0
import { createServer, type ServerResponse } from 'node:http';
import { WeirError } from '@weir/errors';
import type { Registry } from 'prom-client';

export interface MetricsServerOptions {
  readonly host: string;
  /** 0: any. */
  readonly port: number;
  readonly registry: Pick<Registry, 'metrics' | 'contentType'>;
  /** Why the service is not well; undefined when it is. */
  readonly unwell: () => string | undefined;
  /** What GET `/status` answers, as JSON; undefined: it is not there. */
  readonly status?: () => Promise<object>;
}

/**
 * Answers GET `/metrics` in the text format of Prometheus, `/healthz` with 200 or 503 and the reason, and `/status` where
 * there is one.
 */
export interface MetricsServer {
  /** `host:port`, as bound. */
  readonly address: string;
  close(): Promise<void>;
}

// Whoever scrapes asks a few times a minute; nobody needs more connections.
const connectionsMax = 16;
const requestTimeoutMs = 5_000;

/** Listens. FAILED_PRECONDITION when the address cannot be had. */
export async function startMetricsServer(options: MetricsServerOptions): Promise<MetricsServer> {
  const { registry, unwell, status } = options;
  const paths = status === undefined ? '/metrics and /healthz' : '/metrics, /status and /healthz';
  const answer = (response: ServerResponse, status: number, body: { text: string; type?: string }): void => {
    response.writeHead(status, { 'content-type': body.type ?? 'text/plain; charset=utf-8' });
    response.end(body.text);
  };
  const server = createServer((request, response) => {
    const path = request.url?.split('?')[0];
    if (request.method !== 'GET') return answer(response, 405, { text: 'Only GET is answered\n' });
    if (path === '/healthz') {
      const reason = unwell();
      return answer(response, reason === undefined ? 200 : 503, { text: `${reason ?? 'ok'}\n` });
    }
    if (path === '/status' && status !== undefined) {
      return void status().then(
        (found) => answer(response, 200, { text: `${JSON.stringify(found, null, 2)}\n`, type: 'application/json' }),
        () => answer(response, 500, { text: 'The status cannot be read\n' }),
      );
    }
    if (path !== '/metrics') return answer(response, 404, { text: `There are ${paths}\n` });
    registry.metrics().then(
      (text) => answer(response, 200, { text, type: registry.contentType }),
      () => answer(response, 500, { text: 'The metrics cannot be read\n' }),
    );
  });
  server.maxConnections = connectionsMax;
  server.requestTimeout = requestTimeoutMs;
  const target = `${options.host}:${options.port}`;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      reject(new WeirError('FAILED_PRECONDITION', `Cannot listen on "${target}": ${error.message}`, { cause: error }));
    });
    server.listen({ host: options.host, port: options.port }, resolve);
  });
  const { port } = server.address() as { port: number };
  return {
    address: options.host.includes(':') ? `[${options.host}]:${port}` : `${options.host}:${port}`,
    close() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
