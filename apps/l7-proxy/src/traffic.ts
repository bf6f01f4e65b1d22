// SPDX-License-Identifier: Apache-2.0
import type { FlowTable } from './flows/flow-table.ts';
import type { SocketFactory } from './sockets/socket-factory.ts';

/** Where connections come from, and what is known about them: the datapath, or a file that stands in for it. */
export interface Traffic {
  readonly flows: FlowTable;
  readonly sockets: SocketFactory;
  /** The proxy accepts on `port` from now on. */
  announce(port: number): void;
  close(): void;
}
