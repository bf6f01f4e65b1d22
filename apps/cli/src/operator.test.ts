// SPDX-License-Identifier: Apache-2.0
// `weir operator status` against an operator's service over a unix socket, and over mutual TLS.
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { createAuthority } from '@weir/certificates';
import { OperatorDefinition, type weir } from '@weir/proto';
import { createRpcServer, openTlsIdentity, rpcService, type RpcServer, type RpcServerOptions } from '@weir/rpc';
import { createTestCli, type TestCli } from './testing/test-cli.ts';

const status: weir.operator.v1.IGetStatusResponse = {
  ...{ name: 'op-a', version: '0.1.0', startedMs: 0, role: 'leader', leader: 'op-a', reason: '' },
  ipv4Pool: { prefix: '10.0.0.0/22', nodePrefixLength: 24, capacity: 4 },
  ipv6Pool: { prefix: 'fd00::/48', nodePrefixLength: 64, capacity: 65536 },
  nodes: [
    { node: 'n1', ranges: { ipv4: '10.0.0.0/24', ipv6: 'fd00::/64' }, absentSinceMs: 0 },
    { node: 'n2', ranges: { ipv4: '10.0.1.0/24', ipv6: 'fd00:0:0:1::/64' }, absentSinceMs: 1_000 },
  ],
  ...{ lastCollection: { atMs: 2_000, deleted: 7 }, collections: 3, releases: 1, graceMs: 60_000 },
};

let cli: TestCli;
let server: RpcServer;
const serve = async (answer: object, options: Pick<RpcServerOptions, 'listen' | 'tls'>): Promise<string> => {
  const service = rpcService(OperatorDefinition, { getStatus: () => answer, acquirePodRanges: () => ({}) });
  server = createRpcServer({ services: [service], ...options });
  return (await server.start())[0]!;
};
beforeAll(() => {
  cli = createTestCli();
});
afterEach(() => server.stop({ deadlineMs: 0 }));
afterAll(() => cli.close());

describe('weir operator status', () => {
  it('says who leads, what is handed out and free, who is missed, and what was collected', async () => {
    const address = await serve(status, { listen: [`unix:${cli.directory}/operator.sock`] });
    const { status: exit, stdout } = await cli.weir('operator', 'status', '--operator', address);
    expect(exit).toBe(0);
    expect(stdout.split('\n').map((line) => line.replace(/ +/g, ' ').trim())).toEqual([
      'Operator: op-a (weir 0.1.0)',
      'Up since: 1970-01-01T00:00:00.000Z',
      'Role: leader',
      'IPv4 pool: 10.0.0.0/22, a /24 each: 2 handed out, 2 of 4 free',
      'IPv6 pool: fd00::/48, a /64 each: 2 handed out, 65534 of 65536 free',
      'Nodes: 2 with ranges, 1 of them absent, 1 given up for gone',
      'Collections: 3 of garbage, the last one 1970-01-01T00:00:02.000Z took 7',
      '',
      'NODE IPV4 IPV6 STATE',
      'n1 10.0.0.0/24 fd00::/64 present',
      'n2 10.0.1.0/24 fd00:0:0:1::/64 absent since 1970-01-01T00:00:01.000Z, free from 1970-01-01T00:01:01.000Z',
      '',
    ]);
    const { stdout: asJson } = await cli.weir('operator', 'status', '--operator', address, '-o', 'json');
    expect(JSON.parse(asJson)).toMatchObject({ role: 'leader', nodes: [{ node: 'n1' }, { node: 'n2' }] });
  });

  it('exits with 1 and the reason when the operator cannot do its work', async () => {
    const away = { ...status, role: 'away', reason: 'etcd does not answer', nodes: [] };
    const address = await serve(away, { listen: [`unix:${cli.directory}/operator.sock`] });
    const { status: exit, stdout } = await cli.weir('operator', 'status', '--operator', address);
    expect(exit).toBe(1);
    expect(stdout).toMatch(/Role: +away {2}etcd does not answer\n/);
  });

  it('asks over mutual TLS with certificates, and says which flags are missing', async () => {
    const authority = createAuthority({ directory: cli.directory });
    const tls = openTlsIdentity(authority.issue(['operator.weir']));
    const address = await serve(status, { listen: ['127.0.0.1:0'], tls });
    const { ca, certificate, key } = authority.issue(['admin.weir']);
    const flags = ['--operator', address, '--tls-ca', ca, '--tls-cert', certificate];
    expect(await cli.weir('operator', 'status', ...flags, '--tls-key', key)).toMatchObject({ status: 0 });
    expect(await cli.weir('operator', 'status', ...flags)).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('TLS needs --tls-ca, --tls-cert and --tls-key'),
    });
    tls.close();
  });
});
