// SPDX-License-Identifier: Apache-2.0
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { WeirError } from '@weir/errors';
import { claimUnixSocket, type UnixSocketClaim } from '@weir/rpc';
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
  const length = Buffer.byteLength(payload);
  // One request a connection: what is left of one that was refused is not taken for the next.
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': length, connection: 'close' });
  response.end(payload);
}

/**
 * The plugin's end of the agent: HTTP/1.1 on a unix socket, one request a call. See docs/architecture.md "CNI". The
 * socket of a dead agent is replaced; the socket is open to root and its group only. `stop` lets calls under way finish.
 */
export function createCniServer(options: CniServerOptions): { start(): Promise<void>; stop(): Promise<void> } {
  const { socketPath, handler, logger } = options;

  const serve = async (message: IncomingMessage, response: ServerResponse): Promise<void> => {
    let cniVersion = '0.3.1';
    let request: CniRequest | undefined;
    try {
      if (message.method !== 'POST' || message.url !== '/v1/cni') {
        throw new WeirError('INVALID_ARGUMENT', `${message.method} ${message.url} is not POST /v1/cni`);
      }
      const body = await readBody(message);
      cniVersion = cniVersionOf(body);
      request = parseCniRequest(body);
      answer(response, 200, await handler(request));
    } catch (error) {
      const { command, containerId, namespace, pod } = request ?? {};
      const what = request === undefined ? {} : { method: command, containerId, pod: `${namespace}/${pod}` };
      logger.warn({ ...what, error }, 'CNI call failed');
      answer(response, WeirError.from(error).code === 'INVALID_ARGUMENT' ? 400 : 500, cniErrorOf(error, cniVersion));
    }
  };

  const server = createServer((message, response) => {
    serve(message, response).catch((error: unknown) => {
      logger.error({ error }, 'CNI answer could not be sent');
      response.destroy();
    });
  });
  let claim: UnixSocketClaim | undefined;
  return {
    async start() {
      claim = await claimUnixSocket({ path: socketPath, mode: 0o660 });
      const { bindPath } = claim;
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(bindPath, resolve);
      });
      await claim.publish();
    },
    async stop() {
      await claim?.remove();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeIdleConnections();
      });
    },
  };
}
