// SPDX-License-Identifier: Apache-2.0
// Real certificates, made by openssl, over real connections.
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { createAuthority, type Authority } from '@weir/certificates';
import { HealthDefinition } from '@weir/proto';
import {
  createRpcClient,
  createRpcServer,
  openTlsIdentity,
  rpcService,
  type RpcServer,
  type TlsFiles,
  type TlsIdentity,
} from './index.ts';

let directory: string;
let ours: Authority;
let theirs: Authority;
let serverFiles: TlsFiles;
let caller: readonly string[] | undefined;
const open: { close(): void }[] = [];
const servers: RpcServer[] = [];

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'weir-tls-'));
  ours = createAuthority({ directory: join(directory, 'ours') });
  theirs = createAuthority({ directory: join(directory, 'theirs'), name: 'Somebody else' });
  serverFiles = ours.issue(['service.weir']);
});
afterEach(async () => {
  open.splice(0).forEach((each) => each.close());
  await Promise.all(servers.splice(0).map((server) => server.stop({ deadlineMs: 0 })));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const identity = (files: TlsFiles): TlsIdentity => {
  const opened = openTlsIdentity(files);
  open.push(opened);
  return opened;
};
// Under another name than that of the built-in health service.
const definition = { check: { ...HealthDefinition.check, path: '/test.Health/check' } } as unknown as Pick<
  typeof HealthDefinition,
  'check'
>;
const serve = async (files: TlsFiles): Promise<string> => {
  const service = rpcService(definition, {
    check(_request, call) {
      caller = call.callerNames;
      return { status: 1 };
    },
  });
  const server = createRpcServer({ services: [service], listen: ['127.0.0.1:0'], tls: identity(files) });
  servers.push(server);
  const [address = ''] = await server.start();
  return address;
};
const call = (address: string, files: TlsFiles | undefined, serverName = 'service.weir') => {
  const tls = files && { tls: { identity: identity(files), serverName } };
  const client = createRpcClient(definition, { address, ...tls });
  open.push(client);
  return client.check({ service: '' });
};

describe('mutual TLS', () => {
  it('lets those talk whom one authority has signed, and tells the service who calls', async () => {
    const address = await serve(serverFiles);
    await call(address, ours.issue(['node1.node.weir', 'other.weir']));
    expect(caller).toEqual(['node1.node.weir', 'other.weir']);
  });

  it.each([
    {
      what: 'a server of another authority',
      server: () => theirs.issue(['service.weir']),
      client: () => ours.issue(['a.weir']),
      reason: /unable to (verify|get)|self.signed/,
    },
    {
      what: 'a server with another name',
      server: () => ours.issue(['impostor.weir']),
      client: () => ours.issue(['a.weir']),
      reason: /certificate is for "impostor.weir", expected "service.weir"/,
    },
    {
      what: 'a client of another authority',
      server: () => serverFiles,
      client: () => ({ ...theirs.issue(['a.weir']), ca: serverFiles.ca }),
      reason: /the server may not accept our certificate/,
    },
    {
      what: 'a client without a certificate',
      server: () => serverFiles,
      client: () => undefined,
      reason: /Cannot reach/,
    },
  ])('refuses $what and says why', async ({ server, client, reason }) => {
    const address = await serve(server());
    caller = undefined;
    await expect(call(address, client())).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringMatching(reason),
    });
    expect(caller).toBeUndefined();
  });

  it('takes a new certificate and a new authority without a restart', async () => {
    const files = { ca: join(directory, 'ca'), certificate: join(directory, 'crt'), key: join(directory, 'key') };
    const install = (from: TlsFiles): void => {
      copyFileSync(from.ca, files.ca);
      copyFileSync(from.key, files.key);
      copyFileSync(from.certificate, files.certificate);
    };
    install(serverFiles);
    const address = await serve(files);
    const newcomer = theirs.issue(['a.weir']);
    await expect(call(address, newcomer)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    writeFileSync(files.key, 'half of');
    install(theirs.issue(['service.weir'], { file: 'renewed' }));
    for (let done = false; !done;) {
      done = await call(address, newcomer).then(
        () => true,
        () => false,
      );
    }
    expect(caller).toEqual(['a.weir']);
  }, 20_000);
});

describe('openTlsIdentity()', () => {
  it.each([
    ['an expired certificate', () => ours.issue(['old.weir'], { days: -1 }), /old.weir.crt" for TLS: it expired on/],
    ['a missing file', () => ({ ...serverFiles, ca: '/nowhere' }), /"\/nowhere" for TLS: ENOENT/],
    ['a key of another certificate', () => ({ ...serverFiles, key: ours.issue(['b.weir']).key }), /does not fit/],
    ['something else', () => ({ ...serverFiles, certificate: serverFiles.key }), /service.weir.key" for TLS/],
  ])('refuses %s with its name', (_what, files, reason) => {
    expect(() => openTlsIdentity(files())).toThrow(
      expect.objectContaining({ code: 'FAILED_PRECONDITION', message: expect.stringMatching(reason) }),
    );
  });
});
