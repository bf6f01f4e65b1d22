// SPDX-License-Identifier: Apache-2.0
import type { LbBackendState, LbSelection } from '@weir/datapath-layout';

/** Which frontend: address (16 bytes), port in host order, IANA protocol. */
export interface FrontendAddress {
  readonly address: Uint8Array;
  readonly port: number;
  readonly protocol: number;
}

/** An address that clients call. */
export interface FrontendRow extends FrontendAddress {
  /** Whose backends these are: one port of one service in one family. */
  readonly group: number;
  /** Where its backends are; 0: it has none. */
  readonly pool: number;
  /** Whether callers from outside reach it, too. */
  readonly isExternal: boolean;
}

/** How a pool chooses. */
export interface PoolRow {
  /** Slots that it has; with Maglev, entries of its table. */
  readonly count: number;
  readonly selection: LbSelection;
  /** 0: clients do not stay. */
  readonly affinityTicks: number;
}

/** A slot is `backend` for `share + 1` of 2³² random numbers, `other` for the rest. */
export interface SlotRow {
  readonly backend: number;
  readonly other: number;
  readonly share: number;
}

/** Where a client may be sent. */
export interface BackendRow {
  readonly address: Uint8Array;
  readonly port: number;
  readonly group: number;
  readonly state: LbBackendState;
}

/** A pool's number and the index of one of its slots as one number. */
export const slotNumber = (pool: number, index: number): number => pool * 0x10000 + index;

/** The reverse of {@link slotNumber}. */
export const slotPlace = (number: number): { readonly pool: number; readonly index: number } => ({
  pool: Math.floor(number / 0x10000),
  index: number % 0x10000,
});

/** An address, port and protocol as text: what tells frontends apart. */
export const frontendName = ({ address, port, protocol }: FrontendAddress): string =>
  `${String.fromCharCode(...address)}${port}/${protocol}`;

/** All that load balancing has in the kernel. */
export interface ServiceRows {
  /** By {@link frontendName}. */
  readonly frontends: ReadonlyMap<string, FrontendRow>;
  readonly pools: ReadonlyMap<number, PoolRow>;
  /** By {@link slotNumber}. */
  readonly slots: ReadonlyMap<number, SlotRow>;
  readonly backends: ReadonlyMap<number, BackendRow>;
  /** Backends by the hash of a flow, of pools that choose by Maglev. */
  readonly tables: ReadonlyMap<number, Uint32Array>;
}

/** Rows to write, and as undefined those to take away. */
export interface ServiceChange {
  readonly frontends: ReadonlyMap<string, FrontendRow | { readonly removed: FrontendAddress }>;
  readonly pools: ReadonlyMap<number, PoolRow | undefined>;
  readonly slots: ReadonlyMap<number, SlotRow | undefined>;
  readonly backends: ReadonlyMap<number, BackendRow | undefined>;
  readonly tables: ReadonlyMap<number, Uint32Array | undefined>;
}

/** How many rows of each kind there is room for. */
export interface ServiceLimits {
  readonly frontendsMax: number;
  readonly poolsMax: number;
  readonly slotsMax: number;
  readonly backendsMax: number;
  readonly tablesMax: number;
}

/** What has come of a backend. */
export interface BackendTraffic {
  /** Clients that it has been chosen for: TCP connections, connected UDP sockets, exchanges of other UDP sockets. */
  readonly connections: number;
  /** TCP connections that have begun and not ended. */
  readonly active: number;
  /** From clients; the TCP connections of sockets count when they end. */
  readonly sentBytes: number;
  /** To clients. */
  readonly receivedBytes: number;
}

/** A socket, and who it really talks to. */
export interface ServiceSocket extends FrontendAddress {
  /** What the kernel knows the socket by. */
  readonly cookie: bigint;
}

/** Load balancing in the kernel, as the agent's features see it. */
export interface ServiceDatapath {
  readonly limits: ServiceLimits;
  /**
   * Makes the tables of pools that have none yet, which nobody looks at before `apply` has written their pools. Off the thread
   * that calls, since the kernel waits for all programs. `apply` makes those that are missing, but keeps its caller waiting.
   */
  placeTables(tables: ServiceChange['tables']): Promise<void>;
  /**
   * Writes a change in an order in which no client meets a frontend without its backends. Throws what the kernel says, and
   * then some of it may be written: read what there is.
   */
  apply(change: ServiceChange): void;
  read(): ServiceRows;
  /** The same and the traffic, a little at a time: others have their turn in between, and may change what is not read yet. */
  readGradually(): Promise<{ readonly rows: ServiceRows; readonly traffic: ReadonlyMap<number, BackendTraffic> }>;
  /** What has come of each backend, by its number. */
  traffic(): ReadonlyMap<number, BackendTraffic>;
  /** The backend that a socket was sent to when it asked for a service; undefined when it did not. */
  socketBackend(socket: ServiceSocket): number | undefined;
  /** Runs the programs at the sockets of a cgroup and of all below it, and of no other. NOT_SUPPORTED where it cannot. */
  attachSockets(cgroup: string): void;
}
