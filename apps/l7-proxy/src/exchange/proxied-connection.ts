// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import type { Flow, FlowPolicy } from '../flows/flow-table.ts';
import { encodeLocalResponse, type LocalStatus } from '../http/local-response.ts';
import { Problem } from '../http/problem.ts';
import type { RequestHead } from '../http/request-head.ts';
import type { Judgement } from '../rules/judgement-cache.ts';
import type { HttpCall } from '../rules/rule-set.ts';
import type { AcceptedSocket, PendingSocket } from '../sockets/socket-factory.ts';
import { ByteStream, Hold } from './byte-stream.ts';
import { CallRecord } from './call-record.ts';
import { RequestSide, RequestState } from './request-side.ts';
import { ResponseSide, ResponseState } from './response-side.ts';
import type { ExchangeServices } from './services.ts';

/**
 * A client's connection and the one to its server, which live and die together: what the client sees is, refusals aside,
 * what it would see without the proxy, down to when the connection ends.
 */
export class ProxiedConnection {
  readonly services: ExchangeServices;
  readonly flow: Flow;
  readonly requests: RequestSide;
  readonly responses: ResponseSide;
  /** When bytes arrived last, in either direction, on the monotonic clock. */
  nowMs: number;
  /** True when the connection is to end with the running exchange. */
  draining = false;

  readonly #client: ByteStream;
  readonly #record: CallRecord;
  readonly #onGone: () => void;
  #policy: FlowPolicy;
  #server: ByteStream | undefined;
  #connecting = false;
  #clientGone = false;
  #answeredCount = 0;

  /** Starts to serve a connection; `onGone` is called once, when nothing is left of it. */
  constructor(services: ExchangeServices, accepted: AcceptedSocket & { policy: FlowPolicy; onGone: () => void }) {
    this.services = services;
    this.flow = accepted.flow;
    this.#policy = accepted.policy;
    this.#onGone = accepted.onGone;
    this.nowMs = services.clock.monotonicMs();
    this.requests = new RequestSide(this);
    this.responses = new ResponseSide(this);
    this.#record = new CallRecord(services.accessLog, services.wallTime);
    this.#record.setFlow(accepted.flow, accepted.policy);
    this.#client = new ByteStream(accepted, {
      onBytes: (bytes, length) => {
        if (this.requests.state !== RequestState.CLOSED) this.nowMs = services.clock.monotonicMs();
        this.requests.onBytes(bytes, length);
      },
      onEnd: () => this.requests.onEnd(),
      onDrained: () => {
        this.#server?.release(Hold.FULL);
        this.requests.resume();
      },
      onClose: (error) => this.#clientClosed(error),
    });
  }

  // What the request side asks for.

  /** True while the client does not take what it is sent. */
  get clientFull(): boolean {
    return this.#client.full;
  }

  /** Reads nothing from the client, or does so again. */
  holdClient(held: boolean): void {
    if (held) this.#client.hold(Hold.PIPELINED);
    else this.#client.release(Hold.PIPELINED);
  }

  /** Decides on a request under what the datapath says now; undefined when the connection had to be given up. */
  judge(head: RequestHead, bytes: Buffer): Judgement | undefined {
    if (!this.#followPolicy()) return undefined;
    const judgement = this.services.judge.judge(head, bytes, this.#policy);
    const traceParent = head.fields.trace.parent(bytes);
    this.#record.begin(judgement, { startMs: this.nowMs, minorVersion: head.minorVersion, traceParent });
    return judgement;
  }

  /** Sends the beginning of an allowed request: its head, and the body as far as it is there. */
  beginExchange(bytes: Buffer, start: number, end: number): void {
    this.responses.expect();
    if (this.#server === undefined) this.#connect(Buffer.copyBytesFrom(bytes, start, end - start));
    else this.toServer(bytes, start, end);
  }

  toServer(bytes: Buffer, start: number, end: number): void {
    if (this.#server?.send(bytes, start, end) === false) this.#client.hold(Hold.FULL);
  }

  /** The client sends nothing more, and neither do we. */
  endServer(): void {
    this.#server?.end();
  }

  requestComplete(): void {
    if (this.responses.state === ResponseState.DONE) this.#finishExchange();
  }

  /** Answers that the rules do not allow the request, and keeps the connection if asked to. */
  refuse(keeps: boolean): void {
    this.#respond(403, 'Access denied', keeps);
    this.#record.answered(403, this.services.clock.monotonicMs());
    if (!keeps) this.close();
  }

  /** Answers that the client's message cannot be framed with certainty, and closes. `call` is what could be read of it. */
  malformed(problem: Problem, call?: HttpCall): void {
    if (this.responses.state === ResponseState.NONE) {
      this.#record.unreadable(call, problem, { status: 400, nowMs: this.nowMs });
    }
    this.#fail({ status: 400, text: `Bad request: ${problem}`, reason: problem });
  }

  // What the response side asks for.

  toClient(bytes: Buffer, start: number, end: number): void {
    if (!this.#client.send(bytes, start, end)) this.#server?.hold(Hold.FULL);
  }

  /** The final head of a response has come. */
  answered(status: number): void {
    this.#answeredCount++;
    this.#record.answered(status, this.nowMs);
  }

  responseComplete(): void {
    if (this.requests.state === RequestState.SENT) this.#finishExchange();
    // A request that is cut off will never be complete.
    else if (this.#client.ended) this.close();
  }

  /** Both sides speak another protocol from now on. */
  tunnel(): void {
    this.requests.tunnel();
  }

  /** Answers that the server's message cannot be framed with certainty, and closes. */
  badResponse(problem: Problem): void {
    const reason = `response: ${problem}`;
    this.#warn(reason, 'Malformed response');
    this.#fail({ status: 502, text: `Bad gateway: ${reason}`, reason });
  }

  /** The server has sent what nobody asked for; the next request would take it for its answer. */
  unsolicited(): void {
    this.#warn('bytes behind a response', 'Malformed response');
    this.close();
  }

  // What the connection's owner asks for.

  /** Gives up what takes too long. To be called now and then. */
  checkTimeouts(nowMs: number): void {
    const { headTimeoutMs, idleTimeoutMs } = this.services.limits;
    const { state, head, headStartMs } = this.requests;
    if (state === RequestState.HEAD && head.begun && nowMs - headStartMs > headTimeoutMs) {
      const reason = `head took more than ${headTimeoutMs} ms`;
      this.#record.unreadable(undefined, reason, { status: 408, nowMs });
      this.#fail({ status: 408, text: `Request timeout: ${reason}`, reason });
    }
    if (nowMs - this.nowMs <= idleTimeoutMs) return;
    const reason = `no byte for ${idleTimeoutMs} ms`;
    if (this.responses.state === ResponseState.HEAD) {
      this.#fail({ status: 504, text: `Gateway timeout: ${reason}`, reason });
    } else if (state === RequestState.CLOSED) this.abort();
    else this.close();
  }

  /** Closes as soon as the running exchange is over. */
  drain(): void {
    this.draining = true;
    if (this.requests.idle && this.responses.state === ResponseState.NONE) this.close();
  }

  /** Says nothing more, after what is on its way, and lets the client read it. */
  close(): void {
    if (this.requests.state === RequestState.CLOSED) return;
    this.#leave();
    this.#server?.destroy();
    this.#client.endAndLinger(this.services.limits.lingerMs);
  }

  /** Drops everything, in a way that the client does not take for a regular end. */
  abort(): void {
    this.#leave();
    this.#server?.destroy();
    this.#client.reset();
  }

  #leave(): void {
    this.requests.state = RequestState.CLOSED;
    this.responses.state = ResponseState.CLOSED;
  }

  #finishExchange(): void {
    const persistent = this.requests.persistent && this.responses.persistent;
    if (!persistent || this.#client.ended || this.#server?.ended !== false || this.draining) return this.close();
    this.responses.state = ResponseState.NONE;
    this.requests.next();
  }

  /** Takes over what the datapath has decided since; false when it does not know the connection any more. */
  #followPolicy(): boolean {
    const { flows } = this.services;
    if (flows.revision() === this.#policy.revision) return true;
    const policy = flows.lookup(this.flow);
    if (policy === undefined) {
      this.#warn('no conntrack entry that allows it', 'Reset a connection that the datapath gave up');
      this.abort();
      return false;
    }
    this.#policy = policy;
    this.#record.setFlow(this.flow, policy);
    return true;
  }

  #connect(first: Buffer): void {
    this.#connecting = true;
    this.#client.hold(Hold.CONNECTING);
    this.services.sockets.connect(this.flow, this.services.limits.connectTimeoutMs).then(
      (pending) => this.#connected(pending, first),
      (thrown: unknown) => this.#unreachable(WeirError.from(thrown, 'UNAVAILABLE')),
    );
  }

  #connected(pending: PendingSocket, first: Buffer): void {
    this.#connecting = false;
    if (this.requests.state === RequestState.CLOSED) {
      pending.reject();
      this.#goneIfNothingIsLeft();
      return;
    }
    this.#server = new ByteStream(pending, {
      onBytes: (bytes, length) => {
        this.nowMs = this.services.clock.monotonicMs();
        this.responses.onBytes(bytes, length);
      },
      onEnd: () => this.#serverEnded('the server closed the connection without an answer'),
      onDrained: () => this.#client.release(Hold.FULL),
      onClose: (error) => this.#serverClosed(error),
    });
    if (!this.#server.sendOwned(first)) this.#client.hold(Hold.FULL);
    this.#client.release(Hold.CONNECTING);
  }

  #unreachable(error: WeirError): void {
    this.#connecting = false;
    if (this.requests.state !== RequestState.CLOSED) {
      this.#warn(error.message, 'Server cannot be reached');
      this.#fail({ status: 503, text: `Service unavailable: ${error.message}`, reason: error.message });
    }
    this.#goneIfNothingIsLeft();
  }

  #serverEnded(reason: string): void {
    switch (this.responses.state) {
      case ResponseState.HEAD:
        if (this.responses.begun) this.badResponse(Problem.CUT_OFF);
        // A server may close an idle connection just when a request comes (RFC 9112 9.5): clients know how to repeat it
        // as long as they are not given an answer.
        else if (this.#answeredCount > 0) this.#closeUnanswered(reason);
        else this.#fail({ status: 502, text: `Bad gateway: ${reason}`, reason });
        return;
      case ResponseState.BODY:
        if (this.responses.untilClose) this.responses.endBody();
        else this.close();
        return;
      case ResponseState.TUNNEL:
        this.#client.end();
        return;
      default:
        this.close();
    }
  }

  #serverClosed(error: Error | undefined): void {
    if (error !== undefined) {
      // Without a length, only a reset tells the client that something is missing.
      const endIsLength = this.responses.untilClose || this.responses.state === ResponseState.TUNNEL;
      if (endIsLength) this.abort();
      else this.#serverEnded(`the connection to the server failed: ${error.message}`);
    }
    this.#goneIfNothingIsLeft();
  }

  #closeUnanswered(reason: string): void {
    this.#record.failed(reason, 0, this.nowMs);
    this.close();
  }

  #clientClosed(error: Error | undefined): void {
    this.#clientGone = true;
    this.#record.failed('the client closed the connection', 0, this.services.clock.monotonicMs());
    const tunnelled = this.responses.state === ResponseState.TUNNEL;
    this.#leave();
    // The ends of a tunnel that was closed in good order have been passed on; the last bytes may still be on their way.
    if (tunnelled && error === undefined) return this.#goneIfNothingIsLeft();
    if (tunnelled) this.#server?.reset();
    else this.#server?.destroy();
    this.#goneIfNothingIsLeft();
  }

  #goneIfNothingIsLeft(): void {
    const serverGone = this.#server === undefined || this.#server.gone;
    if (this.#clientGone && serverGone && !this.#connecting) this.#onGone();
  }

  /** Ends the exchange with an answer of our own, if the client has got no part of another one. */
  #fail({ status, text, reason }: { status: LocalStatus; text: string; reason: string }): void {
    const { state } = this.responses;
    if (state === ResponseState.HEAD || state === ResponseState.NONE) {
      this.#respond(status, text, false);
      this.#record.failed(reason, status, this.services.clock.monotonicMs());
    }
    this.close();
  }

  #respond(status: LocalStatus, text: string, keeps: boolean): void {
    const { head } = this.requests;
    const connection = keeps ? (head.minorVersion > 0 ? 'none' : 'keep-alive') : 'close';
    this.#client.sendOwned(encodeLocalResponse({ status, text, connection, toHead: head.isHead }));
  }

  #warn(
    reason: string,
    message: 'Malformed response' | 'Server cannot be reached' | 'Reset a connection that the datapath gave up',
  ): void {
    const { source, sourcePort, destination, destinationPort } = this.flow;
    const peer = `${source} port ${sourcePort}`;
    this.services.log.warn({ peer, address: `${destination} port ${destinationPort}`, reason }, message);
  }
}
