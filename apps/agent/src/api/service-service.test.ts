// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createManualClock } from '@weir/clock';
import { createMemoryServices, type MemoryServices } from '@weir/datapath-testing';
import { ServiceServiceDefinition, type weir } from '@weir/proto';
import { createRpcClient, createRpcServer, type RpcClient, type RpcServer } from '@weir/rpc';
import { createServiceController, type ServiceController } from '../service/service-controller.ts';
import { createServiceStore } from '../service/service-store.ts';
import { silent } from '../testing/test-agent.ts';
import { createServiceService } from './service-service.ts';

let directory: string;
let datapath: MemoryServices;
let services: ServiceController;
let server: RpcServer;
let client: RpcClient<typeof ServiceServiceDefinition>;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'weir-service-api-'));
  const address = `unix:${directory}/s.sock`;
  datapath = createMemoryServices();
  const store = createServiceStore(join(directory, 'services.jsonl'));
  services = createServiceController({ datapath, store, clock: createManualClock(), logger: silent, numbersFrom: 0 });
  server = createRpcServer({ services: [createServiceService({ services, datapath })], listen: [address] });
  await server.start();
  client = createRpcClient(ServiceServiceDefinition, { address, deadlineMs: 10_000 });
});
afterEach(async () => {
  client.close();
  await server.stop({ deadlineMs: 0 });
  await services.close();
  rmSync(directory, { recursive: true });
});

const web: weir.service.v1.IService = {
  name: 'web',
  frontends: [{ address: 'FD96::0001', port: 80 }],
  backends: [
    { address: 'fd00::1', port: 8080, weight: 3 },
    { address: 'fd00::2', port: 8080 },
  ],
};

async function all<Item>(stream: AsyncIterable<Item>): Promise<Item[]> {
  const items: Item[] = [];
  for await (const item of stream) items.push(item);
  return items;
}

describe('ServiceService', () => {
  it('completes what is left out, and writes addresses in their one form', async () => {
    const { outcomes } = await client.upsertServices({ services: [web] });
    expect(outcomes).toMatchObject([{ service: { namespace: 'default', name: 'web' }, problem: '', code: '' }]);
    const [portion] = await all(client.listServices({ service: { name: 'web' } }));
    expect(portion?.services).toMatchObject([
      {
        ...{ namespace: 'default', name: 'web', owner: 'api' },
        frontends: [{ address: 'fd96::1', port: 80, protocol: 'TCP' }],
        backends: [
          { weight: 3, state: 'active' },
          { weight: 1, state: 'active' },
        ],
      },
    ]);
  });

  it('answers for each service in the order of the request, whatever is wrong with the others', async () => {
    const { outcomes } = await client.upsertServices({
      services: [
        { name: 'a', frontends: [{ address: '10.96.0.1', port: 80, protocol: 'SCTP' }] },
        { name: 'b', frontends: [{ address: 'nowhere', port: 80 }] },
        web,
        { name: 'c', backends: [{ address: '10.0.0.1', port: 1, state: 'odd' }] },
      ],
    });
    expect(outcomes.map(({ service, code, problem }) => [service?.name, code, problem])).toEqual([
      ['a', 'INVALID_ARGUMENT', 'frontends[0].protocol: "SCTP" is not one of TCP, UDP'],
      ['b', 'INVALID_ARGUMENT', 'frontends[0].address: "nowhere" is not an IPv4 or IPv6 address'],
      ['web', '', ''],
      ['c', 'INVALID_ARGUMENT', 'backends[0].state: "odd" is not one of active, terminating, quarantined, maintenance'],
    ]);
  });

  it('takes frontends for callers from outside as such, and refuses a scope that there is not', async () => {
    const frontends = [
      { address: '10.96.0.1', port: 80 },
      { address: '192.0.2.1', port: 30_080, scope: 'external' },
    ];
    const { outcomes } = await client.upsertServices({
      services: [
        { name: 'out', frontends },
        { name: 'odd', frontends: [{ address: '10.96.0.2', port: 80, scope: 'galaxy' }] },
      ],
    });
    expect(outcomes.map(({ problem }) => problem)).toEqual([
      '',
      'frontends[0].scope: "galaxy" is not one of cluster, external',
    ]);
    const [listed] = await all(client.listServices({ service: { namespace: 'default', name: 'out' } }));
    expect(listed?.services?.[0]?.frontends?.map(({ scope }) => scope)).toEqual(['cluster', 'external']);
    const [kernel] = await all(client.listFrontends({}));
    expect(kernel?.frontends?.map(({ port, scope }) => [port, scope])).toEqual([
      [80, 'cluster'],
      [30_080, 'external'],
    ]);
  });

  it('lists what is in the kernel, with shares and connections', async () => {
    await client.upsertServices({ services: [web] });
    datapath.setTraffic(new Map([[1, { connections: 7 }]]));
    const [portion] = await all(client.listFrontends({}));
    expect(portion?.frontends).toMatchObject([
      {
        ...{ address: 'fd96::1', port: 80, protocol: 'TCP', selection: 'random' },
        backends: [
          { id: 1, address: 'fd00::1', share: 0.75, connections: 7 },
          { id: 2, address: 'fd00::2', share: 0.25, connections: 0 },
        ],
      },
    ]);
  });

  it('lists many in portions', async () => {
    const many = Array.from({ length: 401 }, (_, index) => ({ name: `s${index}` }));
    await client.upsertServices({ services: many });
    const portions = await all(client.listServices({}));
    expect(portions.map(({ services: part }) => part.length)).toEqual([200, 200, 1]);
  });

  it('lists one that is not there as NOT_FOUND', async () => {
    await expect(all(client.listServices({ service: { name: 'x' } }))).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('tells a watcher all that there is, that this is all, and what changes from then on', async () => {
    await client.upsertServices({ services: [web] });
    const seen: string[] = [];
    const stopping = new AbortController();
    const watch = (async () => {
      for await (const event of client.watchServices({}, { signal: stopping.signal })) {
        seen.push(event.upserted?.name ?? event.deleted?.name ?? 'synced');
        if (seen.length === 2) {
          await client.upsertServices({ services: [{ name: 'new' }] });
          await client.deleteServices({ services: [{ name: 'web' }] });
        }
        if (seen.length === 4) stopping.abort();
      }
    })();
    await watch.catch(() => undefined);
    expect(seen).toEqual(['web', 'synced', 'new', 'web']);
  });
});
