// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@weir/clock';
import type { HttpRule } from '@weir/policy';
import { weir } from '@weir/proto';
import { createStreamQueue, type StreamQueue } from '@weir/rpc';
import type { Logger } from '@weir/telemetry';

type AgentMessage = weir.proxy.v1.IAgentMessage;

/** Every rule set that the kernel may refer to, by number. */
export type RuleSetTable = ReadonlyMap<number, readonly HttpRule[]>;

/** One connected proxy: what it has been told, and how far it has got with it. */
export interface ProxySession {
  readonly messages: StreamQueue<AgentMessage>;
  /** Undefined until the proxy has introduced itself. */
  hello: { readonly pid: number; readonly port: number } | undefined;
  /** Sends what is new and gone; the first time everything. Resolves when the proxy applies it, or takes too long. */
  update(table: RuleSetTable): Promise<void>;
  acknowledge(version: number): void;
  end(): void;
}

const ackTimeoutMs = 1_000;
const messagesMax = 1_024;

const { HeaderMismatch } = weir.proxy.v1;
const mismatches = {
  LOG: HeaderMismatch.HEADER_MISMATCH_LOG,
  ADD: HeaderMismatch.HEADER_MISMATCH_ADD,
  DELETE: HeaderMismatch.HEADER_MISMATCH_DELETE,
  REPLACE: HeaderMismatch.HEADER_MISMATCH_REPLACE,
} as const;

const ruleMessage = ({ method = '', path = '', host = '' }: HttpRule): weir.proxy.v1.IHttpRule => ({
  ...{ method, path, host },
});

const headerRuleMessage = (rule: HttpRule): weir.proxy.v1.IHttpRule => ({
  ...ruleMessage(rule),
  headers: (rule.headers ?? []).map(({ name, value }) => ({
    ...{ name, value: value ?? '', valuePresent: value !== undefined },
  })),
  headerMatches: (rule.headerMatches ?? []).map(({ name, value, mismatch }) => ({
    ...{ name, value, mismatch: mismatches[mismatch] },
  })),
});

const looksAtHeaders = ({ headers, headerMatches }: HttpRule): boolean =>
  headers !== undefined || headerMatches !== undefined;

// An expression that no method fits: without rules a set would let everything pass.
const nothing: HttpRule = { method: '[^\\x00-\\x{10FFFF}]' };

function toMessage(id: number, rules: readonly HttpRule[]): weir.proxy.v1.IRuleSet {
  const byHeaders = rules.filter(looksAtHeaders);
  const others = rules.filter((rule) => !looksAtHeaders(rule));
  if (byHeaders.length === 0) return { id, http: others.map(ruleMessage) };
  const http = others.length === 0 ? [nothing] : others;
  return { id, http: http.map(ruleMessage), httpByHeaders: byHeaders.map(headerRuleMessage) };
}

/** Nothing is sent until the first {@link ProxySession.update}. */
export function createProxySession(options: {
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly logger: Logger;
}): ProxySession {
  const { signal, clock, logger } = options;
  const messages = createStreamQueue<AgentMessage>({ itemsMax: messagesMax, overflow: 'fail', signal });
  const sent = new Set<number>();
  const waiting = new Set<() => void>();
  let version = 0;
  let acknowledged = 0;

  const whenAcknowledged = (wanted: number): Promise<void> =>
    new Promise((resolve) => {
      const finish = (): void => {
        cancelTimer();
        waiting.delete(check);
        resolve();
      };
      const check = (): void => {
        if (acknowledged >= wanted || messages.ended) finish();
      };
      const cancelTimer = clock.schedule(ackTimeoutMs, () => {
        logger.warn({ limit: ackTimeoutMs }, 'Proxy is slow to take new rules');
        finish();
      });
      waiting.add(check);
      check();
    });

  const wake = (): void => {
    for (const check of [...waiting]) check();
  };

  return {
    messages,
    hello: undefined,
    async update(table) {
      const upserted = [...table].filter(([id]) => !sent.has(id));
      const deleted = [...sent].filter((id) => !table.has(id));
      const isFirst = version === 0;
      if (!isFirst && upserted.length === 0 && deleted.length === 0) return;
      for (const [id] of upserted) sent.add(id);
      for (const id of deleted) sent.delete(id);
      version += 1;
      const ruleSets = upserted.map(([id, http]) => toMessage(id, http));
      messages.push({ version, snapshot: isFirst, upserted: ruleSets, deleted });
      await whenAcknowledged(version);
    },
    acknowledge(reached) {
      acknowledged = Math.max(acknowledged, reached);
      wake();
    },
    end() {
      messages.end();
      wake();
    },
  };
}
