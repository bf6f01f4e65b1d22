// SPDX-License-Identifier: Apache-2.0
import type { ProxyDatapath } from '@weir/datapath-loader';
import { parseIpAddress } from '@weir/model';
import type { FlowTable } from './flow-table.ts';

/** The flows of the kernel's conntrack table. One that the datapath now drops counts as not handed over. */
export function createDatapathFlowTable(datapath: ProxyDatapath): FlowTable {
  return {
    revision: () => datapath.revision(),
    lookup({ source, sourcePort, destination, destinationPort }) {
      const entry = datapath.lookup({
        source: parseIpAddress(source),
        sourcePort,
        destination: parseIpAddress(destination),
        destinationPort,
      });
      return entry === undefined || entry.dropReason !== 0 ? undefined : entry;
    },
  };
}
