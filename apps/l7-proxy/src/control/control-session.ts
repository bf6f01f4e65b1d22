// SPDX-License-Identifier: Apache-2.0
import { createBackoff, type Clock } from '@weir/clock';
import { WeirError } from '@weir/errors';
import { ProxyControlDefinition, type weir } from '@weir/proto';
import { createRpcClient } from '@weir/rpc';
import type { Logger } from '@weir/telemetry';
import type { AccessLog } from '../access-log/access-log.ts';
import { type HeaderMismatch, headerMismatches, mismatchMessages } from '../rules/header-rule.ts';
import type { HttpRuleSpec, RuleSetSpec } from '../rules/rule-set.ts';
import type { RuleSets } from '../rules/rule-sets.ts';
import { createOutbox, type Hello, type Outbox } from './outbox.ts';

/** Keeps the proxy under its agent's control for as long as there is an agent. */
export interface ControlSession {
  /** Resolves when the session has ended. */
  stop(): Promise<void>;
}

export interface ControlSessionOptions {
  /** `unix:/absolute/path` or `host:port`. */
  readonly address: string;
  readonly hello: Hello;
  readonly ruleSets: RuleSets;
  /** Called after every update, when it is in force. */
  readonly onUpdate: () => void;
  readonly accessLog: AccessLog;
  readonly clock: Clock;
  readonly log: Logger;
}

// Every pod's rules in one message.
const messageBytesMax = 64 * 1024 * 1024;
// A restarted agent is to be in control again at once, and an attempt at a local socket costs next to nothing.
const reconnectDelays = { initialMs: 50, maxMs: 500 };

// The access log's messages come encoded.
const definition = {
  session: { ...ProxyControlDefinition.session, requestSerialize: (message: Buffer): Buffer => message },
};

/** Dials the agent, again and again; never gives up, and never throws. */
export function startControlSession(options: ControlSessionOptions): ControlSession {
  const { address, accessLog, clock, hello, log } = options;
  const client = createRpcClient(definition, { address, messageBytesMax });
  const stopping = new AbortController();
  const backoff = createBackoff(reconnectDelays);
  let connected = true;

  const runOnce = async (): Promise<void> => {
    const outbox = createOutbox({ hello, accessLog });
    const updates = createUpdateReader(options, outbox);
    try {
      for await (const message of client.session(outbox, { signal: stopping.signal })) {
        if (!connected) log.info({ address }, 'The agent is in control');
        connected = true;
        backoff.reset();
        await updates.read(message);
      }
    } finally {
      outbox.close();
    }
    throw new WeirError('UNAVAILABLE', `The agent at "${address}" has ended the session`);
  };
  const run = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      try {
        await runOnce();
      } catch (error) {
        if (stopping.signal.aborted) return;
        // One line for the loss, not one for every attempt.
        if (connected) log.warn({ address, error }, 'The agent is away: serving with the last rules');
        connected = false;
      }
      await pause(clock, { delayMs: backoff.nextMs(), signal: stopping.signal });
    }
  };
  const over = run();
  return {
    async stop() {
      stopping.abort();
      await over;
      client.close();
    },
  };
}

interface UpdateReader {
  /** Resolves when the message is in force. */
  read(message: weir.proxy.v1.AgentMessage): Promise<void>;
}

/** Applies the messages of one session in their order. A message that breaks the contract ends the session. */
function createUpdateReader({ ruleSets, onUpdate, log }: ControlSessionOptions, outbox: Outbox): UpdateReader {
  let lastVersion: number | undefined;
  return {
    async read({ version, snapshot, upserted, deleted }) {
      if (lastVersion === undefined && !snapshot) {
        throw new WeirError('FAILED_PRECONDITION', `Message ${version} begins the session and is no snapshot`);
      }
      if (lastVersion !== undefined && version <= lastVersion) {
        throw new WeirError(
          'FAILED_PRECONDITION',
          `Message ${version} follows message ${lastVersion}, expected a rise`,
        );
      }
      lastVersion = version;
      const unusable = await ruleSets.apply({ snapshot, upserted: upserted.map(specFromMessage), deleted });
      for (const { spec, problem } of unusable) {
        log.error(
          { reason: `rule set ${spec.id}`, error: problem },
          'Rule set cannot be applied and refuses every request',
        );
      }
      outbox.acknowledge(version);
      onUpdate();
      log.debug({ revision: version, count: ruleSets.size }, 'Rule sets are in force');
    },
  };
}

const mismatchNames = new Map(headerMismatches.map((name) => [mismatchMessages[name], name]));

function ruleFromMessage({ method, path, host, headers, headerMatches }: weir.proxy.v1.IHttpRule): HttpRuleSpec {
  return {
    ...{ method: method ?? '', path: path ?? '', host: host ?? '' },
    ...(headers?.length && {
      headers: headers.map(({ name, value, valuePresent }) => ({
        name: name ?? '',
        ...(valuePresent && { value: value ?? '' }),
      })),
    }),
    ...(headerMatches?.length && {
      headerMatches: headerMatches.map(({ name, value, mismatch }) => ({
        ...{ name: name ?? '', value: value ?? '' },
        // An unknown one is no name of any, and the rule set refuses every request.
        mismatch: mismatchNames.get(mismatch ?? 0) ?? (String(mismatch) as HeaderMismatch),
      })),
    }),
  };
}

const specFromMessage = ({ id, http, httpByHeaders }: weir.proxy.v1.RuleSet.$Shape): RuleSetSpec => ({
  id: id ?? 0,
  http: [...(http ?? []), ...(httpByHeaders ?? [])].map(ruleFromMessage),
});

const pause = (clock: Clock, { delayMs, signal }: { delayMs: number; signal: AbortSignal }): Promise<void> =>
  new Promise((resolve) => {
    const end = (): void => {
      cancel();
      signal.removeEventListener('abort', end);
      resolve();
    };
    const cancel = clock.schedule(delayMs, end);
    signal.addEventListener('abort', end, { once: true });
    if (signal.aborted) end();
  });
