// SPDX-License-Identifier: Apache-2.0
import { chmod, mkdir, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { dirname } from 'node:path';
import { WeirError } from '@weir/errors';
import type { Logger } from '@weir/telemetry';
import { cniErrorOf } from './cni-error.ts';
import { type CniRequest, cniVersionOf, parseCniRequest } from './cni-request.ts';

/** What stands behind the socket: returns what is to be printed, undefined for nothing. */
export type CniHandler = (request: CniRequest) => Promise<object | undefined>;

export interface CniServerOptions {
  readonly socketPath: string;
  readonly handler: CniHandler;
  readonly logger: Logger;
}

const bodyBytesMax = 1 << 20;

async function readBody(message: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of message as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bodyBytesMax) {
      throw new WeirError('INVALID_ARGUMENT', `The request has more than ${bodyBytesMax} bytes`);
    }
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch (cause) {
    throw new WeirError('INVALID_ARGUMENT', 'The request is not JSON', { cause });
  }
}

function answer(response: ServerResponse, status: number, body: object | undefined): void {
  const payload = body === undefined ? '' : `${JSON.stringify(body)}\n`;
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) });
  response.end(payload);
}

/**
 * The plugin's end of the agent: HTTP/1.1 on a unix socket, one request a call. See docs/architecture.md "CNI". A removed
 * file of a dead agent is replaced; the socket is open to root and its group only.
 */
export function createCniServer(options: CniServerOptions): { start(): Promise<void>; stop(): Promise<void> } {
  const { socketPath, handler, logger } = options;

  const serve = async (message: IncomingMessage, response: ServerResponse): Promise<void> => {
    let cniVersion = '0.3.1';
    try {
      if (message.method !== 'POST' || message.url !== '/v1/cni') {
        throw new WeirError('INVALID_ARGUMENT', `${message.method} ${message.url} is not POST /v1/cni`);
      }
      const body = await readBody(message);
      cniVersion = cniVersionOf(body);
      answer(response, 200, await handler(parseCniRequest(body)));
    } catch (error) {
      logger.warn({ error }, 'CNI call failed');
      answer(response, WeirError.from(error).code === 'INVALID_ARGUMENT' ? 400 : 500, cniErrorOf(error, cniVersion));
    }
  };

  const server = createServer((message, response) => {
    serve(message, response).catch((error: unknown) => {
      logger.error({ error }, 'CNI answer could not be sent');
      response.destroy();
    });
  });
  return {
    async start() {
      await mkdir(dirname(socketPath), { recursive: true });
      await rm(socketPath, { force: true });
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(socketPath, resolve);
      });
      await chmod(socketPath, 0o660);
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeIdleConnections();
      }),
  };
}
