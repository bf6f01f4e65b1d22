// SPDX-License-Identifier: Apache-2.0
import { ProxyControlDefinition, type weir } from '@weir/proto';
import { createRpcServer, createStreamQueue, rpcService, type RpcServer } from '@weir/rpc';

type AgentMessage = weir.proxy.v1.AgentMessage.$Properties;

/** A real gRPC server that speaks the agent's side of the contract as a test tells it to. */
export interface FakeAgent {
  /** Everything that proxies have sent, oldest first, over all sessions. */
  readonly received: weir.proxy.v1.ProxyMessage[];
  readonly sessionCount: number;
  /** Sends in the running session; waits for one. */
  send(message: AgentMessage): Promise<void>;
  /** Waits for the greeting, and gives it. */
  hello(): Promise<weir.proxy.v1.Hello.$Properties>;
  /** Waits until `version` is acknowledged. */
  acknowledged(version: number): Promise<unknown>;
  /** Waits for the first part of an access log, and gives it. */
  accessLog(): Promise<weir.proxy.v1.AccessLog.$Properties>;
  stop(): Promise<void>;
}

const waitMs = 5_000;

const until = async <Value>(ask: () => Value | undefined, what: string): Promise<Value> => {
  for (const deadline = Date.now() + waitMs; Date.now() < deadline;) {
    const value = ask();
    if (value !== undefined) return value;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  throw new Error(`Waited in vain for ${what}`);
};

/** Listens at `address`. Each session begins with `snapshot` if there is one. */
export async function startFakeAgent(address: string, snapshot?: () => AgentMessage): Promise<FakeAgent> {
  const received: weir.proxy.v1.ProxyMessage[] = [];
  let sessionCount = 0;
  let running: ReturnType<typeof createStreamQueue<AgentMessage>> | undefined;
  const service = rpcService(ProxyControlDefinition, {
    session(messages, { signal }) {
      sessionCount++;
      const queue = createStreamQueue<AgentMessage>({ itemsMax: 100, overflow: 'fail', signal });
      running = queue;
      if (snapshot !== undefined) queue.push(snapshot());
      void (async () => {
        for await (const message of messages) received.push(message);
      })().catch(() => undefined);
      return queue;
    },
  });
  const server: RpcServer = createRpcServer({ services: [service], listen: [address] });
  await server.start();
  const firstOf = <Name extends 'hello' | 'accessLog'>(name: Name) =>
    received.map((message) => message[name] ?? undefined).find((part) => part !== undefined);
  return {
    received,
    get sessionCount() {
      return sessionCount;
    },
    async send(message) {
      (await until(() => running, 'a session')).push(message);
    },
    hello: () => until(() => firstOf('hello'), 'a greeting'),
    acknowledged: (version) =>
      until(() => received.find(({ ack }) => ack?.version === version), `an acknowledgement of ${version}`),
    accessLog: () => until(() => firstOf('accessLog'), 'an access log'),
    stop: () => server.stop({ deadlineMs: 0 }),
  };
}
