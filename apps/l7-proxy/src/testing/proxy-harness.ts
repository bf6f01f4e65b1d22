// SPDX-License-Identifier: Apache-2.0
import { systemClock } from '@weir/clock';
import { weir } from '@weir/proto';
import { createLogger } from '@weir/telemetry';
import { createAccessLog, type AccessLog } from '../access-log/access-log.ts';
import { createProxyServer, type ProxyServer, type ProxyServerOptions } from '../exchange/proxy-server.ts';
import { createWallTime } from '../exchange/wall-time.ts';
import { createMemoryFlowTable, type MemoryFlowTable } from '../flows/memory-flow-table.ts';
import { createJudge } from '../rules/judge.ts';
import { createJudgementCache } from '../rules/judgement-cache.ts';
import type { HttpRuleSpec } from '../rules/rule-set.ts';
import { createRuleSets, type RuleSets } from '../rules/rule-sets.ts';
import { createPlainSockets } from '../sockets/plain-sockets.ts';
import { dial, startRawServer, type RawPeer, type RawServer } from './raw-peer.ts';

export type Call = weir.proxy.v1.HttpCall.$Properties;

/** The proxy on ordinary sockets, between a test's client and a test's server. */
export interface ProxyHarness {
  readonly port: number;
  readonly proxy: ProxyServer;
  readonly flows: MemoryFlowTable;
  readonly ruleSets: RuleSets;
  readonly server: RawServer;
  readonly accessLog: AccessLog;
  readonly logLines: readonly string[];
  client(): Promise<RawPeer>;
  /** Makes these the rules of rule set 1, which polices ingress. */
  allow(...rules: Partial<HttpRuleSpec>[]): Promise<unknown>;
  /** Calls that were logged since the last time, once there are as many. */
  calls(count: number): Promise<Call[]>;
  close(): Promise<void>;
}

const limits = {
  headBytesMax: 4096,
  fieldsMax: 20,
  drainBytesMax: 1024,
  headTimeoutMs: 60_000,
  idleTimeoutMs: 60_000,
  connectTimeoutMs: 1_000,
  lingerMs: 200,
};

export interface HarnessOptions {
  readonly limits?: Partial<typeof limits>;
  readonly server?: Partial<ProxyServerOptions>;
  /** Where requests go instead of the raw server. */
  readonly upstreamPort?: number;
}

/** Starts with a rule that lets everything below `/ok` through. */
export async function startProxy(options: HarnessOptions = {}): Promise<ProxyHarness> {
  const logLines: string[] = [];
  const log = createLogger({ service: 'test', destination: { write: (line) => void logLines.push(line) } });
  const clock = systemClock;
  const server = await startRawServer();
  const ruleSets = createRuleSets();
  const policy = { sourceIdentity: 300, destinationIdentity: 400, egressRuleSet: 0, ingressRuleSet: 1 };
  const flows = createMemoryFlowTable(policy);
  const accessLog = createAccessLog({ clock, batchCallsMax: 256, batchDelayMs: 1, queuedBatchesMax: 64 });
  const upstream = { host: '127.0.0.1', port: options.upstreamPort ?? server.port };
  const proxy = createProxyServer({
    judge: createJudge({ ruleSets, cache: createJudgementCache() }),
    flows,
    sockets: createPlainSockets({ listen: { host: '127.0.0.1', port: 0 }, upstream }),
    accessLog,
    clock,
    wallTime: createWallTime(clock),
    log,
    limits: { ...limits, ...options.limits },
    upgradeProtocols: new Set(['websocket']),
    connectionsMax: 100,
    sweepIntervalMs: 20,
    ...options.server,
  });
  const allow: ProxyHarness['allow'] = (...rules) => {
    const http = rules.map((rule) => ({ method: '', path: '', host: '', ...rule }));
    return ruleSets.apply({ snapshot: false, upserted: [{ id: 1, http }], deleted: [] });
  };
  await allow({ path: '/ok.*|', method: '[A-Z]+' });
  const port = await proxy.start();
  const peers: RawPeer[] = [];
  const pending: Call[] = [];
  return {
    port,
    proxy,
    flows,
    ruleSets,
    server,
    accessLog,
    logLines,
    allow,
    async client() {
      const peer = await dial(port);
      peers.push(peer);
      return peer;
    },
    async calls(count) {
      const deadline = Date.now() + 5_000;
      while (pending.length < count && Date.now() < deadline) {
        const message = accessLog.take();
        if (message === undefined) await new Promise((resolve) => setTimeout(resolve, 2));
        else pending.push(...(weir.proxy.v1.ProxyMessage.decode(message).accessLog?.calls ?? []));
      }
      return pending.splice(0);
    },
    async close() {
      for (const { socket } of peers) socket.destroy();
      server.close();
      await proxy.stop({ deadlineMs: 0 });
    },
  };
}
