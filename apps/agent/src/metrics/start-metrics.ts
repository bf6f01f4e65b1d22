// SPDX-License-Identifier: Apache-2.0
import type { weir } from '@weir/proto';
import { type MetricsServer, startMetricsServer } from '@weir/service';
import type { Logger } from '@weir/telemetry';
import type { ObserverHost } from '../observe/observer-host.ts';
import type { AgentOptions } from '../options.ts';
import { type AgentMetricsOptions, createAgentMetrics } from './agent-metrics.ts';

/** What is wrong with the node, in one line; undefined when nothing is. */
function failureOf({ components }: weir.agent.v1.IGetStatusResponse): string | undefined {
  const failed = components?.find(({ state }) => state === 'Failure');
  return failed && `${failed.name}: ${failed.message}`;
}

/** Serves metrics and health, where the command line says so. FAILED_PRECONDITION when the address cannot be had. */
export async function startMetrics(
  parts: Omit<AgentMetricsOptions, 'datapath'> & { readonly observer: Pick<ObserverHost, 'flowMetrics'> },
  served: Pick<AgentMetricsOptions, 'datapath'> & {
    readonly options: Pick<AgentOptions, 'metrics'>;
    readonly logger: Logger;
    readonly status: () => weir.agent.v1.IGetStatusResponse;
  },
): Promise<MetricsServer | undefined> {
  const { options, logger, datapath, status } = served;
  if (options.metrics === undefined) return undefined;
  const own = createAgentMetrics({ ...parts, datapath });
  // Flows are counted where they are kept.
  const registry = {
    contentType: own.contentType,
    metrics: async () => `${await own.metrics()}${await parts.observer.flowMetrics()}`,
  };
  const server = await startMetricsServer({ ...options.metrics, registry, unwell: () => failureOf(status()) });
  logger.info({ address: server.address }, 'Serving metrics');
  return server;
}
