// SPDX-License-Identifier: Apache-2.0
// How the programs at sockets choose, and what they count: real sockets of a process in a cgroup of its own.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmdirSync } from 'node:fs';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { lbBackendState, lbSelection, type LbSelection } from '@weir/datapath-layout';
import { type BackendTraffic, frontendName, type FrontendRow, slotNumber } from '@weir/datapath-maps';
import { parseIpAddress } from '@weir/model';
import type { SocketTask } from '../testing/socket-client.ts';
import { describeAsRoot, useTestDatapaths } from '../testing/test-datapath.ts';
import type { KernelDatapath } from './index.ts';

const datapaths = useTestDatapaths();
const program = fileURLToPath(new URL('../testing/socket-client.ts', import.meta.url));
const root = /^\S+ (\S+) cgroup2 /m.exec(readFileSync('/proc/mounts', 'utf8'))?.[1] ?? '/sys/fs/cgroup';
const cgroup = `${root}/weir-select-${process.pid}`;

const weights = [1, 2, 5];
const total = 8;
const [tableSize, patienceMs] = [251, 20_000];
/** Each way to choose has a service of its own, with its number before those of its backends. */
const clientsOf = (selection: LbSelection) => ({ address: '10.96.0.1', port: 80 + selection });
const idOf = (selection: LbSelection, index: number): number => selection * 10 + index;

let child: ChildProcess, datapath: KernelDatapath;
const told = async (task: SocketTask): Promise<void> => {
  child.send(task);
  await once(child, 'message');
};
beforeEach(async () => {
  mkdirSync(cgroup);
  datapath = await datapaths.open();
  datapath.services.attachSockets(cgroup);
  child = fork(program, { execArgv: [] });
  await told({ kind: 'enter', cgroup });
});
afterEach(async () => {
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
  rmdirSync(cgroup);
});

interface Choice {
  readonly selection: LbSelection;
  readonly protocol: number;
  readonly backendPort?: number;
  readonly affinityTicks?: number;
}

/** Backends 1, 2 and 3 with their weights: as columns of an alias table, and as entries of a Maglev table. */
function serve({ selection, protocol, backendPort = 9, affinityTicks = 0 }: Choice): void {
  const [group, pool] = [selection, selection];
  const { address, port } = clientsOf(selection);
  const frontend: FrontendRow = { address: parseIpAddress(address), port, protocol, group, pool, isExternal: false };
  const [first, second, third] = [0, 1, 2].map((index) => idOf(selection, index)) as [number, number, number];
  const part = (share: number): number => share * 2 ** 32 - 1;
  const table = Uint32Array.from({ length: tableSize }, (_, index) =>
    index % total < 1 ? first : index % total < 3 ? second : third,
  );
  datapath.services.apply({
    frontends: new Map([[frontendName(frontend), frontend]]),
    pools: new Map([
      [pool, { count: selection === lbSelection.maglev ? tableSize : weights.length, selection, affinityTicks }],
    ]),
    slots: new Map([
      [slotNumber(pool, 0), { backend: first, other: third, share: part(3 / 8) }],
      [slotNumber(pool, 1), { backend: second, other: third, share: part(6 / 8) }],
      [slotNumber(pool, 2), { backend: third, other: third, share: part(1) }],
    ]),
    backends: new Map(
      weights.map((_, index) => [
        idOf(selection, index),
        { address: parseIpAddress('127.0.0.1'), port: backendPort, group, state: lbBackendState.active },
      ]),
    ),
    tables: new Map(selection === lbSelection.maglev ? [[pool, table]] : []),
  });
}

const connectionsOf = (selection: LbSelection): number[] =>
  weights.map((_, index) => datapath.services.traffic().get(idOf(selection, index))?.connections ?? 0);

describeAsRoot('a socket that asks for a service', () => {
  const count = 3_000;
  /** Deviations by chance; going round, what is left over of a round. */
  const byChance = (share: number): number => 5 * Math.sqrt(count * share * (1 - share));

  it('gets a backend by weight, whatever the way to choose', async () => {
    for (const [name, slack] of [
      ['random', byChance],
      ['roundRobin', () => 10],
      ['maglev', byChance],
    ] as const) {
      const selection = lbSelection[name];
      serve({ selection, protocol: 17 });
      await told({ kind: 'udp', ...clientsOf(selection), count });
      const found = connectionsOf(selection);
      expect(found.reduce((sum, each) => sum + each)).toBe(count);
      weights.forEach((weight, index) => {
        const share = weight / total;
        expect(Math.abs((found[index] ?? 0) - count * share)).toBeLessThanOrEqual(slack(share));
      });
    }
  });

  it('gets the same one as before with affinity, whatever the way to choose', async () => {
    for (const selection of Object.values(lbSelection)) {
      serve({ selection, protocol: 17, affinityTicks: 100_000 });
      await told({ kind: 'udp', ...clientsOf(selection), count: 50 });
      expect(connectionsOf(selection).filter((each) => each > 0)).toEqual([50]);
    }
  });
});

describeAsRoot('what a backend has done', () => {
  let server: Server;
  beforeEach(async () => {
    server = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket)).listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  afterEach(() => new Promise<void>((resolve) => server.close(() => resolve())));

  const sum = (): BackendTraffic =>
    [...datapath.services.traffic().values()].reduce((a, b) => ({
      connections: a.connections + b.connections,
      active: a.active + b.active,
      sentBytes: a.sentBytes + b.sentBytes,
      receivedBytes: a.receivedBytes + b.receivedBytes,
    }));

  it('is a TCP connection that is active as long as it lasts, and then the bytes of it', async () => {
    const { port } = server.address() as AddressInfo;
    const selection = lbSelection.roundRobin;
    serve({ selection, protocol: 6, backendPort: port });
    await told({ kind: 'open', ...clientsOf(selection), text: 'x'.repeat(1_000) });
    expect(sum()).toEqual({ connections: 1, active: 1, sentBytes: 0, receivedBytes: 0 });
    await told({ kind: 'close' });
    const end = performance.now() + patienceMs;
    while (sum().active > 0 && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 10));
    const after = sum();
    expect(after).toMatchObject({ connections: 1, active: 0 });
    // TCP counts a byte for its beginning and for its end.
    for (const bytes of [after.sentBytes, after.receivedBytes]) expect([1_000, 1_001, 1_002]).toContain(bytes);
  });
});
