// SPDX-License-Identifier: Apache-2.0
import { ConnectionOption } from '../http/field-section.ts';
import { Progress } from '../http/field-parser.ts';
import { Framing, MessageBody, responseFraming } from '../http/message-body.ts';
import { Problem } from '../http/problem.ts';
import { ResponseHead } from '../http/response-head.ts';
import { Carry } from './carry.ts';
import type { ProxiedConnection } from './proxied-connection.ts';
import { readUpgrade } from './upgrade.ts';

/** What is done with the bytes that a server sends. */
export const ResponseState = {
  /** Nothing was asked: any byte ends the connection. */
  NONE: 0,
  /** They are a response's head, of which some, or nothing yet, has come. */
  HEAD: 1,
  /** They are a response's body. */
  BODY: 2,
  /** The response is complete, and the request is not. */
  DONE: 3,
  /** The server has switched protocols: they go to the client unread. */
  TUNNEL: 4,
  /** They are thrown away. */
  CLOSED: 5,
} as const;
export type ResponseState = (typeof ResponseState)[keyof typeof ResponseState];

// Any number is legal (RFC 9110 15.2); a server that sends more of them is broken.
const interimResponsesMax = 64;

/** Reads what the server sends, and passes it on once it is certain where it ends. */
export class ResponseSide {
  state: ResponseState = ResponseState.NONE;

  readonly #connection: ProxiedConnection;
  readonly #head: ResponseHead;
  readonly #body = new MessageBody();
  readonly #carry = new Carry();
  #interimCount = 0;

  constructor(connection: ProxiedConnection) {
    const { fieldsMax, headBytesMax } = connection.services.limits;
    this.#connection = connection;
    this.#head = new ResponseHead({ fieldsMax, headBytesMax });
  }

  /** True when a byte of the response has come that the client has not got. */
  get begun(): boolean {
    return this.#carry.length > 0;
  }

  /** True when the end of the body is that of the connection. */
  get untilClose(): boolean {
    return this.state === ResponseState.BODY && this.#body.framing === Framing.UNTIL_CLOSE;
  }

  /** True when the response lets the connection persist (RFC 9112 9.3). */
  get persistent(): boolean {
    const { connection } = this.#head.fields;
    if (this.#body.framing === Framing.UNTIL_CLOSE || (connection & ConnectionOption.CLOSE) !== 0) return false;
    return this.#head.minorVersion > 0 || (connection & ConnectionOption.KEEP_ALIVE) !== 0;
  }

  /** The end of the connection was that of the body. */
  endBody(): void {
    this.state = ResponseState.DONE;
    this.#connection.responseComplete();
  }

  /** A request is on its way to the server. */
  expect(): void {
    this.#head.reset();
    this.#interimCount = 0;
    this.state = ResponseState.HEAD;
  }

  onBytes(bytes: Buffer, length: number): void {
    const wasDone = this.state === ResponseState.DONE;
    if (this.#carry.length === 0) {
      const used = this.#read(bytes, length);
      if (used < length) this.#carry.append(bytes, used, length);
    } else {
      this.#carry.append(bytes, 0, length);
      this.#carry.discard(this.#read(this.#carry.bytes, this.#carry.length));
    }
    // Only now is it certain that nothing follows which the next request would take for its answer.
    if (this.state === ResponseState.DONE && !wasDone) this.#connection.responseComplete();
  }

  /** How many bytes are done with; the rest is the beginning of a head. */
  #read(bytes: Buffer, end: number): number {
    let position = 0;
    while (position < end) {
      switch (this.state) {
        case ResponseState.HEAD: {
          const used = this.#readHead(position === 0 ? bytes : bytes.subarray(position), end - position);
          if (used === 0) return position;
          position += used;
          break;
        }
        case ResponseState.BODY:
          position = this.#forwardBody(bytes, position, end);
          break;
        case ResponseState.TUNNEL:
          this.#connection.toClient(bytes, position, end);
          return end;
        case ResponseState.NONE:
        case ResponseState.DONE:
          this.#connection.unsolicited();
          return end;
        case ResponseState.CLOSED:
          return end;
      }
    }
    return position;
  }

  /** How many bytes the head, and what was forwarded with it, took; 0 when the head is not complete. */
  #readHead(bytes: Buffer, end: number): number {
    const head = this.#head;
    const progress = head.parse(bytes, end);
    if (progress === Progress.MORE) return 0;
    if (progress === Progress.BAD) return this.#bad(head.problem ?? Problem.STATUS_LINE, end);
    if (head.status === 101) return this.#switchProtocols(bytes, end);
    if (head.status < 200) return this.#forwardInterim(bytes, end);
    const request = this.#connection.requests.head;
    if (request.isConnect && head.status < 300) return this.#tunnel(bytes, end);
    this.#body.start(responseFraming(head, request.isHead), head.fields.contentLength);
    const used = this.#body.consume(bytes, head.end, end);
    if (this.#body.problem !== undefined) return this.#bad(this.#body.problem, end);
    this.state = this.#body.complete ? ResponseState.DONE : ResponseState.BODY;
    this.#connection.answered(head.status);
    this.#connection.toClient(bytes, 0, used);
    return used;
  }

  #forwardInterim(bytes: Buffer, end: number): number {
    const used = this.#head.end;
    if (++this.#interimCount > interimResponsesMax) return this.#bad(Problem.TOO_MANY_INTERIM, end);
    // HTTP/1.0 knows none (RFC 9110 15.2).
    if (this.#connection.requests.head.minorVersion > 0) this.#connection.toClient(bytes, 0, used);
    this.#head.reset();
    return used;
  }

  #switchProtocols(bytes: Buffer, end: number): number {
    const { requests, services } = this.#connection;
    const answer = readUpgrade(bytes.subarray(0, this.#head.end), this.#head.fields, services.upgradeProtocols);
    if (!requests.upgradeOffered || answer !== 'allowed') return this.#bad(Problem.SWITCH_NOT_ASKED, end);
    return this.#tunnel(bytes, end);
  }

  #tunnel(bytes: Buffer, end: number): number {
    this.state = ResponseState.TUNNEL;
    this.#connection.answered(this.#head.status);
    this.#connection.toClient(bytes, 0, end);
    this.#connection.tunnel();
    return end;
  }

  #forwardBody(bytes: Buffer, start: number, end: number): number {
    const position = this.#body.consume(bytes, start, end);
    if (position > start) this.#connection.toClient(bytes, start, position);
    if (this.#body.problem !== undefined) return this.#bad(this.#body.problem, end);
    if (this.#body.complete) this.state = ResponseState.DONE;
    return position;
  }

  #bad(problem: Problem, end: number): number {
    this.#connection.badResponse(problem);
    return end;
  }
}
