// SPDX-License-Identifier: Apache-2.0

/** Answers that the proxy gives by itself. */
const reasonPhrases = {
  400: 'Bad Request',
  403: 'Forbidden',
  408: 'Request Timeout',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
} as const;

export type LocalStatus = keyof typeof reasonPhrases;

/** An answer of the proxy's own. */
export interface LocalResponse {
  readonly status: LocalStatus;
  /** One line for the caller, without its end. */
  readonly text: string;
  /** What `Connection` says; `none` leaves it out, which lets an HTTP/1.1 connection persist. */
  readonly connection: 'close' | 'keep-alive' | 'none';
  /** True in answer to HEAD: the same head, and no body. */
  readonly toHead: boolean;
}

/** The bytes of a response of the proxy's own. */
export function encodeLocalResponse(response: LocalResponse): Buffer {
  const body = `${response.text}\r\n`;
  const connection = response.connection === 'none' ? '' : `connection: ${response.connection}\r\n`;
  const head =
    `HTTP/1.1 ${response.status} ${reasonPhrases[response.status]}\r\n` +
    `content-length: ${Buffer.byteLength(body)}\r\ncontent-type: text/plain\r\n` +
    `date: ${dateNow()}\r\n${connection}\r\n`;
  return Buffer.from(response.toHead ? head : head + body);
}

let dateSecond = 0;
let date = '';

/** The value of `Date`, which a flood of refused requests would otherwise format over and over. */
function dateNow(): string {
  const nowMs = Date.now();
  const second = Math.floor(nowMs / 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    date = new Date(nowMs).toUTCString();
  }
  return date;
}
