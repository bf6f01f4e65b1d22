// SPDX-License-Identifier: Apache-2.0
import { ConnectionOption } from '../http/field-section.ts';
import { Progress } from '../http/field-parser.ts';
import { MessageBody, requestFraming } from '../http/message-body.ts';
import { Problem } from '../http/problem.ts';
import { RequestHead } from '../http/request-head.ts';
import { callFromHead } from '../rules/judge.ts';
import type { Judgement } from '../rules/judgement-cache.ts';
import { Carry } from './carry.ts';
import type { ProxiedConnection } from './proxied-connection.ts';
import { readUpgrade, withoutUpgrade } from './upgrade.ts';

/** What is done with the bytes that a client sends. */
export const RequestState = {
  /** They are the next request's head, of which some, or nothing yet, has come. */
  HEAD: 0,
  /** They are the body of an allowed request and go to the server. */
  BODY: 1,
  /** The request is forwarded and the answer outstanding: they are kept. */
  SENT: 2,
  /** They are the body of a refused request and are thrown away. */
  DRAIN: 3,
  /** The server has switched protocols: they go to it unread. */
  TUNNEL: 4,
  /** The last answer is given: they are thrown away. */
  CLOSED: 5,
} as const;
export type RequestState = (typeof RequestState)[keyof typeof RequestState];

/**
 * Reads what the client sends. One request at a time: the next one is neither judged nor forwarded before the answer to
 * the last one is complete, so that answers are in order, and nothing can hide behind an upgrade or a refusal.
 */
export class RequestSide {
  state: RequestState = RequestState.HEAD;
  readonly head: RequestHead;
  /** True while the server may switch to a protocol that the running request has offered. */
  upgradeOffered = false;
  /** When the first byte of the head has come, on the monotonic clock. */
  headStartMs = 0;

  readonly #connection: ProxiedConnection;
  readonly #body = new MessageBody();
  readonly #carry = new Carry();
  #drainedBytes = 0;

  constructor(connection: ProxiedConnection) {
    const { fieldsMax, headBytesMax } = connection.services.limits;
    this.#connection = connection;
    this.head = new RequestHead({ fieldsMax, headBytesMax });
  }

  /** True when no request has begun. */
  get idle(): boolean {
    return this.state === RequestState.HEAD && !this.head.begun;
  }

  /** True when the running request lets the connection persist (RFC 9112 9.3). */
  get persistent(): boolean {
    const { connection } = this.head.fields;
    if ((connection & ConnectionOption.CLOSE) !== 0) return false;
    return this.head.minorVersion > 0 || (connection & ConnectionOption.KEEP_ALIVE) !== 0;
  }

  onBytes(bytes: Buffer, length: number): void {
    if (this.#carry.length > 0) {
      this.#carry.append(bytes, 0, length);
      this.#readCarried();
      return;
    }
    const used = this.#read(bytes, length);
    if (used < length) this.#carry.append(bytes, used, length);
    this.#connection.holdClient(this.#blocked);
  }

  /** The client will send nothing more. */
  onEnd(): void {
    switch (this.state) {
      case RequestState.HEAD:
        if (this.head.begun) this.#connection.malformed(Problem.CUT_OFF);
        else this.#connection.close();
        return;
      case RequestState.BODY:
      case RequestState.SENT:
      case RequestState.TUNNEL:
        this.#connection.endServer();
        return;
      case RequestState.DRAIN:
        this.#connection.close();
        return;
    }
  }

  /** The exchange is over: goes on with the next request, whose first bytes may be here already. */
  next(): void {
    this.#expectHead();
    this.resume();
  }

  /** Forwards unread from now on, beginning with what was kept. */
  tunnel(): void {
    this.state = RequestState.TUNNEL;
    this.resume();
  }

  /** Goes on with what was kept, if anything was. */
  resume(): void {
    if (this.#carry.length > 0) this.#readCarried();
    else this.#connection.holdClient(false);
  }

  #readCarried(): void {
    const used = this.#read(this.#carry.bytes, this.#carry.length);
    this.#carry.discard(used);
    this.#connection.holdClient(this.#blocked);
  }

  /** True while there are bytes that only something else than more bytes makes readable. */
  get #blocked(): boolean {
    return this.#carry.length > 0 && (this.state === RequestState.SENT || this.#connection.clientFull);
  }

  /** How many bytes are done with; the rest belongs to what comes later. */
  #read(bytes: Buffer, end: number): number {
    let position = 0;
    while (position < end) {
      switch (this.state) {
        case RequestState.HEAD: {
          if (this.#connection.clientFull) return position;
          const used = this.#readHead(position === 0 ? bytes : bytes.subarray(position), end - position);
          if (used === 0) return position;
          position += used;
          break;
        }
        case RequestState.BODY:
          position = this.#forwardBody(bytes, position, end);
          break;
        case RequestState.DRAIN:
          position = this.#drainBody(bytes, position, end);
          break;
        case RequestState.SENT:
          return position;
        case RequestState.TUNNEL:
          this.#connection.toServer(bytes, position, end);
          return end;
        case RequestState.CLOSED:
          return end;
      }
    }
    return position;
  }

  /** How many bytes the head, and what was forwarded with it, took; 0 when the head is not complete. */
  #readHead(bytes: Buffer, end: number): number {
    const { head } = this;
    const begun = head.begun;
    const progress = head.parse(bytes, end);
    if (!begun && head.begun) this.headStartMs = this.#connection.nowMs;
    if (progress === Progress.MORE) return 0;
    if (progress === Progress.BAD) {
      this.#connection.malformed(
        head.problem ?? Problem.REQUEST_LINE,
        head.lineRead ? callFromHead(head, bytes) : undefined,
      );
      return end;
    }
    const judgement = this.#connection.judge(head, bytes);
    if (judgement === undefined) return end;
    return judgement.reason === undefined ? this.#forward(bytes, end, judgement) : this.#refuse();
  }

  #forward(bytes: Buffer, end: number, { rewrittenHead, guardedNames }: Judgement): number {
    const { head } = this;
    this.#body.start(requestFraming(head), head.fields.contentLength, guardedNames);
    const used = this.#body.consume(bytes, head.end, end);
    if (this.#body.problem !== undefined) {
      this.#connection.malformed(this.#body.problem);
      return end;
    }
    this.state = this.#body.complete ? RequestState.SENT : RequestState.BODY;
    if (head.fields.upgradeStart === -1 && rewrittenHead === undefined) {
      this.upgradeOffered = false;
      this.#connection.beginExchange(bytes, head.start, used);
    } else {
      const forwarded = this.#offerUpgrade(rewrittenHead ?? bytes.subarray(head.start, head.end));
      const message = Buffer.concat([forwarded, bytes.subarray(head.end, used)]);
      this.#connection.beginExchange(message, 0, message.length);
    }
    return used;
  }

  /** The head to forward: an upgrade that would let requests pass unjudged is taken out. */
  #offerUpgrade(head: Buffer): Buffer {
    const offer = readUpgrade(head, this.head.fields, this.#connection.services.upgradeProtocols);
    this.upgradeOffered = offer === 'allowed' && this.head.minorVersion > 0;
    return offer === 'forbidden' ? withoutUpgrade(head) : head;
  }

  #forwardBody(bytes: Buffer, start: number, end: number): number {
    const position = this.#body.consume(bytes, start, end);
    if (position > start) this.#connection.toServer(bytes, start, position);
    if (this.#body.problem !== undefined) {
      this.#connection.malformed(this.#body.problem);
      return end;
    }
    if (this.#body.complete) {
      this.state = RequestState.SENT;
      this.#connection.requestComplete();
    }
    return position;
  }

  /**
   * Refuses, and keeps the connection where it is certain where the next request begins: not when the client may or may
   * not send a body (RFC 9110 10.1.1), nor when what follows may be no HTTP at all.
   */
  #refuse(): number {
    const { head } = this;
    const framing = requestFraming(head);
    this.#body.start(framing, head.fields.contentLength);
    const uncertain = head.isConnect || (head.fields.expectContinue && !this.#body.complete);
    const tooLong = head.fields.contentLength > this.#connection.services.limits.drainBytesMax;
    const keeps = this.persistent && !uncertain && !tooLong && !this.#connection.draining;
    this.#connection.refuse(keeps);
    if (!keeps) return head.end;
    this.#drainedBytes = 0;
    const { end } = head;
    if (this.#body.complete) this.#expectHead();
    else this.state = RequestState.DRAIN;
    return end;
  }

  #drainBody(bytes: Buffer, start: number, end: number): number {
    const position = this.#body.consume(bytes, start, end);
    this.#drainedBytes += position - start;
    const tooLong = this.#drainedBytes > this.#connection.services.limits.drainBytesMax;
    if (this.#body.problem !== undefined || tooLong) {
      this.#connection.close();
      return end;
    }
    if (this.#body.complete) this.#expectHead();
    return position;
  }

  #expectHead(): void {
    this.head.reset();
    this.state = RequestState.HEAD;
  }
}
