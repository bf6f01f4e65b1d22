// SPDX-License-Identifier: Apache-2.0
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { WeirError } from '@weir/errors';
import { compileFieldMask, compileFilters, messageFromJson, timestampMs } from '@weir/flow';
import type { observer } from '@weir/proto';

type Request = observer.GetFlowsRequest.$Properties;
type Response = observer.GetFlowsResponse.$Properties;

function responseOf(line: string, number: number): Response {
  try {
    return messageFromJson<Response>('observer.GetFlowsResponse', JSON.parse(line));
  } catch (error) {
    throw new WeirError('INVALID_ARGUMENT', `Line ${number} is no flow: ${WeirError.from(error).message}`, {
      cause: error,
    });
  }
}

/** Flows out of a file of JSON lines, `-` for standard input, as a server would give them for a request. */
export async function* readResponses(file: string, request: Request): AsyncGenerator<Response> {
  const isWanted = compileFilters(request);
  const mask = compileFieldMask(request.fieldMask?.paths);
  const sinceMs = request.since ? timestampMs(request.since) : -Infinity;
  const untilMs = request.until ? timestampMs(request.until) : Infinity;
  const limit = request.number === 0 ? Infinity : (request.number ?? 0);
  const isFromStart = request.first === true || request.since;
  const input = file === '-' ? process.stdin : createReadStream(file);
  const kept: Response[] = [];
  let number = 0;
  for await (const line of createInterface({ input, crlfDelay: Infinity })) {
    number += 1;
    if (line.trim() === '') continue;
    const response = responseOf(line, number);
    const { flow } = response;
    const timeMs = flow?.time ? timestampMs(flow.time) : 0;
    if (!flow || timeMs < sinceMs || timeMs > untilMs || !isWanted(flow)) continue;
    kept.push(mask === undefined ? response : { ...response, flow: mask(flow) });
    if (isFromStart && kept.length >= limit) break;
    if (kept.length > limit) kept.shift();
  }
  yield* kept;
}
