// SPDX-License-Identifier: Apache-2.0
// The real program over TCP, with certificates: a node speaks for itself, and for nobody else.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createAuthority, type Authority } from '@weir/certificates';
import { ClusterDirectoryDefinition, IdentityAllocatorDefinition } from '@weir/proto';
import { createRpcClient, openTlsIdentity, type ServiceDefinition } from '@weir/rpc';
import { freePort } from '@weir/shared-log-testing';
import { createAllocatorProcess, type AllocatorProcess } from './testing/allocator-process.ts';

let directory: string;
let authority: Authority;
let allocator: AllocatorProcess;
let address: string;
const open: { close(): void }[] = [];

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'weir-mtls-'));
  authority = createAuthority({ directory });
  const { ca, certificate, key } = authority.issue(['identity-allocator.weir']);
  address = `127.0.0.1:${await freePort()}`;
  const flags = ['--listen', address, '--tls-ca', ca, '--tls-cert', certificate, '--tls-key', key];
  allocator = createAllocatorProcess(directory, flags);
  await allocator.start();
}, 60_000);
afterAll(async () => {
  open.forEach((each) => each.close());
  await allocator.kill('SIGKILL');
  rmSync(directory, { recursive: true, force: true });
});

const connect = <Definition extends ServiceDefinition>(definition: Definition, name: string) => {
  const identity = openTlsIdentity(authority.issue([name]));
  const client = createRpcClient(definition, { address, tls: { identity, serverName: 'identity-allocator.weir' } });
  open.push(client, identity);
  return client;
};
const refusal = { code: 'PERMISSION_DENIED', message: expect.stringContaining('certificate is for "node1.node.weir"') };
const labels = ['k8s:app=x'];

describe('identity-allocator with mutual TLS', () => {
  it('lets a node take, renew and give up what is its own', async () => {
    const node1 = connect(IdentityAllocatorDefinition, 'node1.node.weir');
    const { identity } = await node1.allocate({ node: 'node1', labels });
    await node1.renewLease({ node: 'node1', held: [identity!] });
    await node1.release({ node: 'node1', id: identity!.id! });
  });

  it('refuses a node that speaks for another one, and lets it watch', async () => {
    const node1 = connect(IdentityAllocatorDefinition, 'node1.node.weir');
    await expect(node1.allocate({ node: 'node2', labels })).rejects.toMatchObject(refusal);
    await expect(node1.release({ node: 'node2', id: 300 })).rejects.toMatchObject(refusal);
    await expect(node1.renewLease({ node: 'node2', held: [] })).rejects.toMatchObject(refusal);
    const cluster = connect(ClusterDirectoryDefinition, 'node1.node.weir');
    const node = { name: 'node2', addresses: ['10.0.0.2'], podRanges: ['10.1.0.0/24'] };
    await expect(cluster.announce({ node, endpoints: [] })).rejects.toMatchObject(refusal);
    const first = await node1.watch({ node: 'node1' })[Symbol.asyncIterator]().next();
    expect(first.value.synced).toBe(true);
  });

  it('lets the operator collect garbage, and nobody else', async () => {
    const operator = connect(IdentityAllocatorDefinition, 'operator.weir');
    expect(await operator.collectGarbage({})).toMatchObject({ deleted: [] });
    const node1 = connect(IdentityAllocatorDefinition, 'node1.node.weir');
    await expect(node1.collectGarbage({})).rejects.toMatchObject({
      code: 'PERMISSION_DENIED',
      message: expect.stringContaining('certificate is for "node1.node.weir", expected "operator.weir"'),
    });
  });

  it('refuses services that are no node', async () => {
    const operator = connect(IdentityAllocatorDefinition, 'operator.weir');
    await expect(operator.allocate({ node: 'operator', labels })).rejects.toMatchObject({ code: 'PERMISSION_DENIED' });
  });
});
