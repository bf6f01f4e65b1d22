// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ServiceServiceDefinition, type weir } from '@weir/proto';
import { createRpcServer, type Handlers, type RpcServer, rpcService } from '@weir/rpc';
import { createTestCli, type TestCli } from './testing/test-cli.ts';

type ServiceHandlers = Handlers<typeof ServiceServiceDefinition>;

const web: weir.service.v1.IService = {
  ...{ namespace: 'default', name: 'web', owner: 'api', selection: 'maglev', affinityTimeoutS: 0 },
  frontends: [{ address: '10.96.0.1', port: 80, protocol: 'TCP' }],
  backends: [
    {
      address: '10.0.0.1',
      port: 8080,
      weight: 1,
      state: 'active',
      connections: 7,
      active: 2,
      sentBytes: 1000,
      receivedBytes: 500_000,
    },
    { address: 'fd00::1', port: 8080, weight: 2, state: 'terminating' },
  ],
};

let cli: TestCli;
let server: RpcServer | undefined;
let upserted: weir.service.v1.IService[];
let deleted: weir.service.v1.IServiceName[];
beforeEach(async () => {
  cli = createTestCli();
  upserted = [];
  deleted = [];
  const handlers: ServiceHandlers = {
    upsertServices({ services }) {
      upserted.push(...services);
      const outcomeOf = ({ namespace = '', name = '' }: weir.service.v1.IService) => ({
        ...{ service: { namespace, name }, problem: name === 'bad' ? 'no' : '' },
      });
      return { outcomes: services.map(outcomeOf) };
    },
    deleteServices({ services }) {
      deleted.push(...services);
      return { outcomes: services.map((service) => ({ service, problem: '' })) };
    },
    async *listServices() {
      yield { services: [web] };
    },
    async *listFrontends() {
      const backend = { id: 5, address: '10.0.0.1', port: 8080, state: 'active', share: 0.25, connections: 7 };
      const place = { address: '10.96.0.1', port: 80, protocol: 'TCP', group: 1, pool: 2, selection: 'random' };
      yield {
        frontends: [
          { ...place, backends: [backend] },
          { ...place, port: 81, affinityTimeoutS: 9.9999 },
        ],
      };
    },
    async *watchServices() {
      yield { synced: true };
    },
  };
  server = createRpcServer({ services: [rpcService(ServiceServiceDefinition, handlers)], listen: [cli.address] });
  await server.start();
});
afterEach(async () => {
  await server?.stop({ deadlineMs: 0 });
  await cli.close();
});

describe('weir service', () => {
  it('list and get print a line for each frontend and backend', async () => {
    const { stdout } = await cli.weir('service', 'list');
    expect(stdout.split('\n').map((line) => line.split(/ {2,}/))).toEqual([
      [
        ...['SERVICE', 'OWNER', 'SELECTION', 'FRONTEND', 'BACKEND', 'WEIGHT', 'STATE'],
        ...['CONNECTIONS', 'ACTIVE', 'SENT', 'RECEIVED'],
      ],
      [
        ...['default/web', 'api', 'maglev', '10.96.0.1:80/TCP', '10.0.0.1:8080', '1', 'active'],
        ...['7', '2', '1000', '500000'],
      ],
      ['', '[fd00::1]:8080', '2', 'terminating', '0', '0', '0', '0'],
      [''],
    ]);
    expect((await cli.weir('service', 'get', 'web')).stdout).toBe(stdout);
    expect(JSON.parse((await cli.weir('service', 'list', '-o', 'json')).stdout)).toMatchObject([web]);
  });

  it('update sends all of the service', async () => {
    const backend = '[fd00::2]:53,weight=3,state=maintenance,name=dns,node=n1,zone=z,hints=z+y';
    const outcome = await cli.weir(
      ...[
        'service',
        'update',
        'shop/web',
        '--frontend',
        '10.96.0.1:80',
        '--frontend',
        '[fd96::1]:53/udp,name=dns,scope=external',
      ],
      ...['--backend', '10.0.0.1:8080', '--backend', backend, '--affinity', '10', '--selection', 'maglev'],
      ...['--label', 'env=prod', '--selector', 'app=web', '--selector', 'tier='],
    );
    expect(outcome).toEqual({ status: 0, stdout: '', stderr: expect.stringContaining('In force: shop/web') });
    expect(upserted).toMatchObject([
      {
        ...{ namespace: 'shop', name: 'web', affinityTimeoutS: 10, selection: 'maglev' },
        ...{ labels: { env: 'prod' }, selector: { app: 'web', tier: '' } },
        frontends: [
          { address: '10.96.0.1', port: 80, protocol: 'TCP' },
          { address: 'fd96::1', port: 53, protocol: 'UDP', portName: 'dns', scope: 'external' },
        ],
        backends: [
          { address: '10.0.0.1', port: 8080, weight: 1, state: 'active' },
          {
            address: 'fd00::2',
            port: 53,
            weight: 3,
            state: 'maintenance',
            portName: 'dns',
            node: 'n1',
            zone: 'z',
            zoneHints: ['z', 'y'],
          },
        ],
      },
    ]);
  });

  it('update fails with the reason of the agent', async () => {
    expect(await cli.weir('service', 'update', 'bad')).toEqual({ status: 1, stdout: '', stderr: 'default/bad: no\n' });
  });

  it('delete takes several names', async () => {
    expect(await cli.weir('service', 'delete', 'a', 'x/b')).toMatchObject({ status: 0 });
    expect(deleted).toMatchObject([
      { namespace: 'default', name: 'a' },
      { namespace: 'x', name: 'b' },
    ]);
  });

  it.each([
    ['--frontend', '10.96.0.1', 'is not an address with a port'],
    ['--frontend', '10.96.0.1:80/SCTP', 'has the protocol "SCTP"; expected TCP or UDP'],
    ['--frontend', '10.96.0.1:0', '"0" is not a port'],
    ['--frontend', '10.96.0.1:80,scope=far', '"far" is not the scope of a frontend'],
    ['--backend', '10.0.0.1:80,weight=0', '"0" is not a weight'],
    ['--backend', '10.0.0.1:80,state=gone', '"gone" is not the state of a backend'],
    ['--backend', '10.0.0.1:80,color=red', '"color=red" in'],
    ['--label', 'env', '"env" is not a label: expected KEY=VALUE'],
    ['--affinity', 'long', '"long" is not a number of seconds'],
  ])('update refuses %s %s', async (flag, value, message) => {
    const { status, stderr } = await cli.weir('service', 'update', 'web', flag, value);
    expect([status, stderr]).toEqual([2, expect.stringContaining(message)]);
    expect(upserted).toEqual([]);
  });
});

describe('weir bpf lb list', () => {
  it('prints backends with their shares, and a frontend without any', async () => {
    const { stdout } = await cli.weir('bpf', 'lb', 'list');
    expect(
      stdout
        .split('\n')
        .slice(1)
        .map((line) => line.split(/ {2,}/)),
    ).toEqual([
      ['10.96.0.1:80/TCP', '1', '2', 'random', '-', '5', '10.0.0.1:8080', 'active', '25.00 %', '7'],
      ['10.96.0.1:81/TCP', '1', '2', 'random', '10 s', '-', '-', '-', '-', '-'],
      [''],
    ]);
  });
});
