// SPDX-License-Identifier: Apache-2.0
import { systemClock } from '@weir/clock';
import { monitorType } from '@weir/flow';
import { createFlowMetrics, type FlowContext, observerHealthName } from '@weir/observer';
import { createRpcServer, openTlsIdentity, type TlsFiles } from '@weir/rpc';
import { type MetricsServer, startMetricsServer } from '@weir/service';
import type { Logger } from '@weir/telemetry';
import type { Registry } from 'prom-client';
import { createFlowExporter, type ExportOptions } from './export/flow-exporter.ts';
import { feedFlows, type FlowSink } from './flow-feed.ts';
import { createNodePool, type NodePool } from './node-pool.ts';
import { relayFlows, type RelayFlowsOptions, type RelayTimes } from './relay-flows.ts';
import { createRelayMetrics, type RelayTraffic } from './relay-metrics.ts';
import { createRelayService } from './relay-service.ts';
import type { PageTraffic } from './page/flow-stream.ts';
import type { PageOptions } from './page/page-flags.ts';
import { type PageServer, startPageServer } from './page/page-server.ts';

export interface RelayParts {
  readonly nodeName: string;
  readonly peerService: string;
  readonly listen: readonly string[];
  readonly plaintext: 'loopback' | 'anywhere';
  /** For everything over TCP; undefined: in clear text. */
  readonly tls?: TlsFiles | undefined;
  readonly peerServerName?: string | undefined;
  /** Where metrics are served; undefined: nowhere. */
  readonly metrics?: { readonly host: string; readonly port: number } | undefined;
  /** Groups of metrics out of flows. */
  readonly flowMetrics?: readonly string[];
  readonly flowMetricsContext?: readonly FlowContext[];
  /** What is exported, and where to; undefined: nothing. */
  readonly export?: ExportOptions | undefined;
  /** Where the page is served, and to whom; undefined: nowhere. */
  readonly page?: PageOptions | undefined;
  readonly version: string;
  readonly logger: Logger;
  /** Other times than the usual ones. */
  readonly times?: Partial<RelayTimes>;
}

/** A relay that runs. */
export interface Relay {
  readonly addresses: readonly string[];
  /** Where metrics are served. */
  readonly metricsAddress: string | undefined;
  /** Where the page is. */
  readonly pageUrl: string | undefined;
  stop(): Promise<void>;
}

const usualTimes: RelayTimes = {
  ...{ waitMs: 1_000, retryDelayMs: 2_000, silenceMs: 10_000 },
  ...{ errorQuietMs: 1_000, errorWindowMs: 10_000 },
};
const healthIntervalMs = 1_000;
// Of one metric.
const seriesMax = 10_000;

const isWell = (pool: NodePool): boolean => pool.isListening && pool.list().some(({ client }) => client !== undefined);

async function serveMetrics(
  { metrics, logger }: RelayParts,
  { registry, pool }: { readonly registry: Registry; readonly pool: NodePool },
): Promise<MetricsServer | undefined> {
  if (metrics === undefined) return undefined;
  const unwell = (): string | undefined => (isWell(pool) ? undefined : 'no node can be asked for flows');
  const server = await startMetricsServer({ ...metrics, registry, unwell });
  logger.info({ address: server.address }, 'Serving metrics');
  return server;
}

async function servePage(
  { page, logger }: RelayParts,
  { flows, traffic }: { readonly flows: RelayFlowsOptions; readonly traffic: PageTraffic },
): Promise<PageServer | undefined> {
  if (page === undefined) return undefined;
  const server = await startPageServer({
    ...{ ...page, pool: flows.pool, traffic, logger },
    flows: (request, signal) => relayFlows({ ...flows, request, signal }),
  });
  logger.info({ address: server.url }, 'Serving the page');
  return server;
}

/** What the relay reads flows for itself for, and which. */
function createSinks(parts: RelayParts, registry: Registry) {
  const { flowMetrics = [], flowMetricsContext = [], logger } = parts;
  const forExport = parts.export;
  const exporter =
    forExport && createFlowExporter(forExport, { registry, clock: systemClock, logger, instance: parts.nodeName });
  const sinks: FlowSink[] = exporter === undefined ? [] : [exporter];
  if (flowMetrics.length > 0) {
    const groups = { groups: flowMetrics, contexts: flowMetricsContext };
    const { observe, lost } = createFlowMetrics({ registry, ...groups, seriesMax });
    sinks.push({ flow: observe, lost });
  }
  const areCallsEnough = flowMetrics.length === 0 && forExport?.signals.includes('logs') !== true;
  return {
    sinks,
    whitelist: areCallsEnough ? [{ eventType: [{ type: monitorType.l7 }] }] : [],
    close: async () => exporter?.close(),
  };
}

/** Reads flows for the relay itself, if anything of it wants some; the result ends that. */
function startFeed(
  options: RelayFlowsOptions,
  { sinks, whitelist, logger }: Pick<ReturnType<typeof createSinks>, 'sinks' | 'whitelist'> & { logger: Logger },
): () => void {
  const stopping = new AbortController();
  if (sinks.length > 0) {
    feedFlows({ ...options, sinks, whitelist, signal: stopping.signal }).catch((error: unknown) =>
      logger.error({ error }, 'Flows are not read any more'),
    );
  }
  return () => stopping.abort();
}

/** Starts a relay. It is healthy while it is told of nodes and one of them can be asked. */
export async function startRelay(parts: RelayParts): Promise<Relay> {
  const { nodeName, peerService, listen, plaintext, version, logger } = parts;
  const times = { ...usualTimes, ...parts.times };
  const tls = parts.tls && openTlsIdentity(parts.tls, logger);
  const pool = createNodePool({
    ...{ peerAddress: peerService, peerServerName: parts.peerServerName, tls },
    ...{ retryDelayMs: times.retryDelayMs, logger },
  });
  const traffic: RelayTraffic = { readers: 0, responses: 0, bytes: 0 };
  const flows: RelayFlowsOptions = { pool, node: nodeName, ...times };
  const service = createRelayService({ ...flows, version: `weir-relay v${version}`, traffic });
  const server = createRpcServer({
    ...{ services: [service], listen, plaintext, healthNames: [observerHealthName], log: logger },
    ...(tls && plaintext === 'loopback' && { tls }),
  });
  const pageTraffic: PageTraffic = { readers: 0, flows: 0, lost: 0, refused: 0 };
  const registry = createRelayMetrics({ pool, traffic, pageTraffic });
  const forItself = createSinks(parts, registry);
  const addresses = await server.start();
  for (const address of addresses) logger.info({ address, pid: process.pid }, 'Serving flows');
  pool.start();
  const metrics = await serveMetrics(parts, { registry, pool });
  const page = await servePage(parts, { flows, traffic: pageTraffic });
  const stopFeed = startFeed(flows, { ...forItself, logger });
  const health = setInterval(() => server.health.setAll(isWell(pool) ? 'SERVING' : 'NOT_SERVING'), healthIntervalMs);
  return {
    addresses,
    metricsAddress: metrics?.address,
    pageUrl: page?.url,
    async stop() {
      clearInterval(health);
      stopFeed();
      await forItself.close();
      await metrics?.close();
      await page?.close();
      await server.stop();
      pool.stop();
      tls?.close();
    },
  };
}
