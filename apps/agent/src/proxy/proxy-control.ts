// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@weir/clock';
import { ProxyControlDefinition, type weir } from '@weir/proto';
import { type RpcService, rpcService } from '@weir/rpc';
import type { Logger } from '@weir/telemetry';
import { createProxySession, type ProxySession, type RuleSetTable } from './proxy-session.ts';

export interface ProxyControlOptions {
  readonly ruleSets: () => RuleSetTable;
  readonly onAccessLog: (log: weir.proxy.v1.IAccessLog) => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The agent's end of the proxy's session. */
export interface ProxyControl {
  readonly service: RpcService;
  /**
   * Sends what is new and gone since the last time, and resolves once the proxy applies it. Without a proxy there is
   * nobody to wait for: it gets everything when it comes. One that does not answer is not waited for longer than a
   * second; it refuses what it does not know, so nothing is let through by that.
   */
  publish(): Promise<void>;
  readonly connected: ProxySession['hello'];
}

/** See {@link ProxyControl}. A second proxy takes the place of the first: there is one a node. */
export function createProxyControl(options: ProxyControlOptions): ProxyControl {
  const { ruleSets, onAccessLog, clock, logger } = options;
  let current: ProxySession | undefined;

  const receive = (session: ProxySession, { message, hello, ack, accessLog }: weir.proxy.v1.ProxyMessage): void => {
    if (message === 'hello') {
      session.hello = { pid: hello?.pid ?? 0, port: hello?.port ?? 0 };
      logger.info({ pid: session.hello.pid }, 'Proxy connected');
    } else if (message === 'ack') {
      session.acknowledge(ack?.version ?? 0);
    } else if (message === 'accessLog' && accessLog) {
      onAccessLog(accessLog);
    }
  };

  const read = async (session: ProxySession, requests: AsyncIterable<weir.proxy.v1.ProxyMessage>): Promise<void> => {
    try {
      for await (const message of requests) receive(session, message);
      logger.warn({ pid: session.hello?.pid }, 'Proxy disconnected');
    } catch (error) {
      logger.warn({ pid: session.hello?.pid, error }, 'Proxy disconnected');
    }
    session.end();
    if (current === session) current = undefined;
  };

  return {
    service: rpcService(ProxyControlDefinition, {
      session(requests, call) {
        current?.end();
        const session = createProxySession({ signal: call.signal, clock, logger });
        current = session;
        void read(session, requests);
        void session.update(ruleSets());
        return session.messages;
      },
    }),
    publish: async () => current?.update(ruleSets()),
    get connected() {
      return current?.hello;
    },
  };
}
