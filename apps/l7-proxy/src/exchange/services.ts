// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@weir/clock';
import type { Logger } from '@weir/telemetry';
import type { AccessLog } from '../access-log/access-log.ts';
import type { FlowTable } from '../flows/flow-table.ts';
import type { Judge } from '../rules/judge.ts';
import type { SocketFactory } from '../sockets/socket-factory.ts';
import type { WallTime } from './wall-time.ts';

/** What a connection may use, and how long it may take. */
export interface ConnectionLimits {
  readonly headBytesMax: number;
  readonly fieldsMax: number;
  /** Body of a refused request that is read and thrown away to keep the connection. */
  readonly drainBytesMax: number;
  /** From the first byte of a request's head to its last. */
  readonly headTimeoutMs: number;
  /** Without a byte in either direction. */
  readonly idleTimeoutMs: number;
  readonly connectTimeoutMs: number;
  /** For a client to read the last answer after we have closed. */
  readonly lingerMs: number;
}

/** What all connections share. */
export interface ExchangeServices {
  readonly judge: Judge;
  readonly flows: FlowTable;
  readonly sockets: SocketFactory;
  readonly accessLog: AccessLog;
  readonly clock: Clock;
  readonly wallTime: WallTime;
  readonly log: Pick<Logger, 'warn' | 'error'>;
  readonly limits: ConnectionLimits;
  /** Protocols that a connection may be upgraded to, in lower case. */
  readonly upgradeProtocols: ReadonlySet<string>;
}
