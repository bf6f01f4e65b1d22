// SPDX-License-Identifier: Apache-2.0
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { WeirError } from '@weir/errors';
import type { SupervisorApi, SupervisorOperation } from './api.ts';

const requestBytesMax = 4 * 1024 * 1024;
const pathPattern = /^\/v1\/(\w+)$/;

/** Serves the API on a unix socket: `POST /v1/<operation>`. A failure has status 400 and a body with code and message. */
export async function serveApi(path: string, api: SupervisorApi): Promise<Server> {
  const server = createServer((request, response) => {
    void answer(api, request).then(({ status, body }) => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  return server;
}

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

async function answer(api: SupervisorApi, request: IncomingMessage): Promise<Answer> {
  try {
    const name = pathPattern.exec(request.url ?? '')?.[1] ?? '';
    const body = await readBody(request);
    if (request.method !== 'POST' || !Object.hasOwn(api, name)) {
      throw new WeirError('NOT_FOUND', `The supervisor has no operation "${name}"`);
    }
    const operation = api[name as SupervisorOperation] as (input: unknown) => Promise<unknown>;
    return { status: 200, body: await operation(JSON.parse(body)) };
  } catch (thrown) {
    const { code, message, details } = WeirError.from(thrown);
    return { status: 400, body: { code, message, details } };
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > requestBytesMax) {
      throw new WeirError('RESOURCE_EXHAUSTED', `A request to the supervisor has more than ${requestBytesMax} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}
