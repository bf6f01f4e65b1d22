// SPDX-License-Identifier: Apache-2.0
import { observerHealthName } from '@weir/observer';
import { createRpcServer, openTlsIdentity, type TlsFiles } from '@weir/rpc';
import type { Logger } from '@weir/telemetry';
import { createNodePool } from './node-pool.ts';
import type { RelayTimes } from './relay-flows.ts';
import { createRelayService } from './relay-service.ts';

export interface RelayParts {
  readonly nodeName: string;
  readonly peerService: string;
  readonly listen: readonly string[];
  readonly plaintext: 'loopback' | 'anywhere';
  /** For everything over TCP; undefined: in clear text. */
  readonly tls?: TlsFiles | undefined;
  readonly peerServerName?: string | undefined;
  readonly version: string;
  readonly logger: Logger;
  /** Other times than the usual ones. */
  readonly times?: Partial<RelayTimes>;
}

/** A relay that runs. */
export interface Relay {
  readonly addresses: readonly string[];
  stop(): Promise<void>;
}

const usualTimes: RelayTimes = { waitMs: 1_000, retryDelayMs: 2_000, silenceMs: 10_000 };
const healthIntervalMs = 1_000;

/** Starts a relay. It is healthy while it is told of nodes and one of them can be asked. */
export async function startRelay(parts: RelayParts): Promise<Relay> {
  const { nodeName, peerService, listen, plaintext, version, logger } = parts;
  const times = { ...usualTimes, ...parts.times };
  const tls = parts.tls && openTlsIdentity(parts.tls, logger);
  const pool = createNodePool({
    ...{ peerAddress: peerService, peerServerName: parts.peerServerName, tls },
    ...{ retryDelayMs: times.retryDelayMs, logger },
  });
  const service = createRelayService({
    ...{ pool, node: nodeName, version: `weir-relay v${version}` },
    ...times,
  });
  const server = createRpcServer({
    services: [service],
    listen,
    plaintext,
    healthNames: [observerHealthName],
    log: logger,
    ...(tls && plaintext === 'loopback' && { tls }),
  });
  const addresses = await server.start();
  for (const address of addresses) logger.info({ address, pid: process.pid }, 'Serving flows');
  pool.start();
  const health = setInterval(() => {
    const isHealthy = pool.isListening && pool.list().some(({ client }) => client !== undefined);
    server.health.setAll(isHealthy ? 'SERVING' : 'NOT_SERVING');
  }, healthIntervalMs);
  return {
    addresses,
    async stop() {
      clearInterval(health);
      await server.stop();
      pool.stop();
      tls?.close();
    },
  };
}
