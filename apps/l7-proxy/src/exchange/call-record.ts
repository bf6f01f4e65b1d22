// SPDX-License-Identifier: Apache-2.0
import type { AccessLog } from '../access-log/access-log.ts';
import type { LoggedCall } from '../access-log/call-batch.ts';
import { encodeCallFields, encodeFlowFields, encodeTraceFields } from '../access-log/call-fields.ts';
import type { Flow, FlowPolicy } from '../flows/flow-table.ts';
import type { Judgement } from '../rules/judgement-cache.ts';
import type { HttpCall } from '../rules/rule-set.ts';
import type { WallTime } from './wall-time.ts';

/** The running call of a connection on its way to the access log: each is reported once, by whatever ends it first. */
export class CallRecord implements LoggedCall {
  readonly #accessLog: AccessLog;
  readonly #wallTime: WallTime;
  #judgement: Judgement | undefined;
  #startMs = 0;
  #open = false;

  flowFields: Uint8Array = new Uint8Array(0);
  callFields: Uint8Array = new Uint8Array(0);
  traceFields: Uint8Array = encodeTraceFields(undefined);
  timeNs = 0;
  latencyNs = 0;
  status = 0;
  minorVersion = 1;

  constructor(accessLog: AccessLog, wallTime: WallTime) {
    this.#accessLog = accessLog;
    this.#wallTime = wallTime;
  }

  /** What the datapath has decided about the connection, for this call and those that follow. */
  setFlow(flow: Flow, policy: FlowPolicy): void {
    this.flowFields = encodeFlowFields(flow, policy);
  }

  /** A head was complete at `startMs` and has been judged. */
  begin(judgement: Judgement, call: { startMs: number; minorVersion: number; traceParent: string | undefined }): void {
    this.#judgement = judgement;
    this.#startMs = call.startMs;
    this.minorVersion = call.minorVersion;
    this.traceFields = encodeTraceFields(call.traceParent);
    this.#open = true;
  }

  /** The server has answered, or the call is refused, which is an answer too. */
  answered(status: number, nowMs: number): void {
    const judgement = this.#judgement;
    if (!this.#open || judgement === undefined) return;
    judgement.logFields ??= encodeJudgement(judgement);
    this.callFields = judgement.logFields;
    this.#report(status, nowMs);
  }

  /** The call that was judged last has failed; `status` is 0 when no answer was given. Does nothing once it is reported. */
  failed(reason: string, status: number, nowMs: number): void {
    if (!this.#open) return;
    this.callFields = encodeCallFields(this.#judgement?.call, { verdict: 'error', reason });
    this.#report(status, nowMs);
  }

  /** A request that was never judged, as far as it could be read. */
  unreadable(call: HttpCall | undefined, reason: string, options: { status: number; nowMs: number }): void {
    this.#startMs = options.nowMs;
    this.callFields = encodeCallFields(call, { verdict: 'error', reason });
    this.traceFields = encodeTraceFields(undefined);
    this.#report(options.status, options.nowMs);
  }

  #report(status: number, nowMs: number): void {
    this.#open = false;
    this.status = status;
    this.timeNs = this.#wallTime.atNs(this.#startMs);
    this.latencyNs = Math.round((nowMs - this.#startMs) * 1e6);
    this.#accessLog.record(this);
  }
}

function encodeJudgement({ call, reason, deniedBy, differences }: Judgement): Uint8Array {
  if (reason === undefined) return encodeCallFields(call, { verdict: 'forwarded', differences });
  return encodeCallFields(call, { verdict: 'denied', reason, deniedByRuleSet: deniedBy });
}
