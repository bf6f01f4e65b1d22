// SPDX-License-Identifier: Apache-2.0
import { setTimeout as delay } from 'node:timers/promises';
import { openProxyDatapath, type ProxyDatapath } from '@weir/datapath-loader';
import { WeirError } from '@weir/errors';
import type { Logger } from '@weir/telemetry';
import { createDatapathFlowTable } from './flows/datapath-flow-table.ts';
import { createTransparentSockets } from './sockets/transparent-sockets.ts';
import type { Traffic } from './traffic.ts';

// MARK_CLIENT_LEG and MARK_SERVER_LEG in bpf/lib/packet.h.
const clientMark = 0x0a00;
const serverMark = 0x0b00;

const retryDelayMs = 500;

export interface DatapathTrafficOptions {
  readonly bpfRoot: string;
  readonly port: number;
  readonly log: Logger;
}

/** The datapath of this node. Waits for it where no agent has run yet. */
export async function openDatapathTraffic(options: DatapathTrafficOptions): Promise<Traffic> {
  const datapath = await waitForDatapath(options);
  return {
    flows: createDatapathFlowTable(datapath),
    sockets: createTransparentSockets({ port: options.port, clientMark, serverMark }),
    announce: (port) => datapath.setPort(port),
    close: () => datapath.close(),
  };
}

async function waitForDatapath({ bpfRoot, log }: DatapathTrafficOptions): Promise<ProxyDatapath> {
  for (let attempt = 0; ; attempt++) {
    try {
      return openProxyDatapath(bpfRoot);
    } catch (thrown) {
      const error = WeirError.from(thrown);
      if (error.code !== 'NOT_FOUND') throw error;
      if (attempt === 0) log.info({ path: bpfRoot }, 'Waiting for an agent to load the datapath');
    }
    await delay(retryDelayMs);
  }
}
