// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@weir/clock';
import type { ServiceDatapath } from '@weir/datapath-maps';
import type { Logger } from '@weir/telemetry';
import type { EndpointTable } from '../endpoint/endpoint-table.ts';
import {
  createServiceController,
  type ServiceController,
  type ServiceControllerOptions,
} from './service-controller.ts';
import { createServiceStore } from './service-store.ts';
import { createStaleSockets } from './stale-sockets.ts';

export interface NodeServicesOptions {
  readonly datapath: ServiceDatapath;
  readonly stateDir: string;
  /** Whose sockets may have to be ended. */
  readonly table: EndpointTable;
  readonly onChanged?: ServiceControllerOptions['onChanged'];
  readonly maglevTableSize?: number;
  /** Labels of this node: `key=value`. */
  readonly nodeLabels?: readonly string[];
  readonly clock: Clock;
  readonly logger: Logger;
}

const zoneLabel = 'topology.kubernetes.io/zone=';

/** The services of a node with all that belongs to them: the journal, and the end of sockets whose backend is gone. */
export function createNodeServices({
  datapath,
  stateDir,
  table,
  onChanged,
  maglevTableSize,
  nodeLabels = [],
  clock,
  logger,
}: NodeServicesOptions): ServiceController {
  const store = createServiceStore(`${stateDir}/services.jsonl`);
  const namespaces = (): string[] => table.list().map(({ record }) => record.netns);
  const staleSockets = createStaleSockets({ datapath, namespaces, clock, logger });
  const controller = createServiceController({
    ...{ datapath, store, clock, logger, onBackendsGone: staleSockets.end },
    ...(onChanged && { onChanged }),
    ...(maglevTableSize !== undefined && { maglevTableSize }),
    zone: nodeLabels.find((label) => label.startsWith(zoneLabel))?.slice(zoneLabel.length) ?? '',
  });
  return {
    ...controller,
    get behind() {
      return controller.behind;
    },
    async close() {
      await controller.close();
      await staleSockets.close();
    },
  };
}
