// SPDX-License-Identifier: Apache-2.0
import type { IncomingMessage } from 'node:http';
import { WeirError } from '@weir/errors';
import { compileFilters, messageFromJson } from '@weir/flow';
import { observer } from '@weir/proto';

const bodyBytesMax = 64 * 1024;
/** Flows of the past that a node is asked for. */
const lastMax = 1_000;
const lastDefault = 200;

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > bodyBytesMax) {
      throw new WeirError('RESOURCE_EXHAUSTED', `A request has more than ${bodyBytesMax} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parseBody(text: string): Readonly<Record<string, unknown>> {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (error) {
    throw new WeirError('INVALID_ARGUMENT', 'The request is no JSON', { cause: error });
  }
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) return body as Record<string, unknown>;
  throw new WeirError('INVALID_ARGUMENT', 'The request is no object of JSON');
}

/**
 * What a page asks for: `{"whitelist": […], "blacklist": […], "last": 200}`, where the lists have filters in the JSON form of
 * `flow.FlowFilter`. INVALID_ARGUMENT names what is wrong.
 */
export async function readFlowsRequest(request: IncomingMessage): Promise<observer.GetFlowsRequest> {
  const { whitelist = [], blacklist = [], last = lastDefault, ...others } = parseBody(await readBody(request));
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) throw new WeirError('INVALID_ARGUMENT', `"${unknown}" is none of the request's fields`);
  if (typeof last !== 'number' || !Number.isInteger(last) || last < 0 || last > lastMax) {
    throw new WeirError('INVALID_ARGUMENT', `last is ${JSON.stringify(last)}, expected 0–${lastMax}`);
  }
  const lists = messageFromJson<observer.GetFlowsRequest>('observer.GetFlowsRequest', { whitelist, blacklist });
  compileFilters(lists);
  return new observer.GetFlowsRequest({ ...lists, number: last, follow: true });
}
