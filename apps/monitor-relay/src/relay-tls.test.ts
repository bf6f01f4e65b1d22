// SPDX-License-Identifier: Apache-2.0
// Flows over TCP between machines: everybody shows a certificate, and nobody is asked who may be somebody else.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { type Authority, createAuthority } from '@weir/certificates';
import type { Flow } from '@weir/flow';
import {
  createEventRing,
  createObserver,
  createPeers,
  nodeServerName,
  type PeerNode,
  recordKind,
  relayServerName,
} from '@weir/observer';
import { ObserverDefinition, relay } from '@weir/proto';
import { createRpcClient, createRpcServer, openTlsIdentity, type RpcClient } from '@weir/rpc';
import { createLogger } from '@weir/telemetry';
import { startRelay } from './relay.ts';

const { NODE_CONNECTED, NODE_ERROR, NODE_UNAVAILABLE } = relay.NodeState;
const logger = createLogger({ service: 'test', level: 'silent' });

let directory: string;
let authority: Authority;
let address: string;
const peers = createPeers();
const cleanups: (() => unknown)[] = [];

/** A node that shows a certificate for a name, or none. */
async function startNode(name: string, shown: string | undefined): Promise<PeerNode> {
  const ring = createEventRing({ capacity: 16, rawBytes: 8 });
  ring.push(recordKind.value, { value: { nodeName: name, time: { seconds: 1 } }, timeNs: 1e9 });
  const flowAt = (number: number): Flow => ring.valueOf(number) as Flow;
  const observer = createObserver({ ring, flowAt, node: name, version: 'weir v0' });
  const tls = shown === undefined ? undefined : openTlsIdentity(authority.issue([shown]));
  const server = createRpcServer({ services: [observer.service], listen: ['127.0.0.1:0'], ...(tls && { tls }) });
  const [bound = ''] = await server.start();
  cleanups.push(
    () => observer.close(),
    () => server.stop({ deadlineMs: 0 }),
    () => tls?.close(),
  );
  return { name, address: bound, ...(shown !== undefined && { serverName: nodeServerName(name) }) };
}

function connect(shown: string | undefined): RpcClient<typeof ObserverDefinition> {
  const identity = shown === undefined ? undefined : openTlsIdentity(authority.issue([shown]));
  const tls = identity && { tls: { identity, serverName: relayServerName } };
  const client = createRpcClient(ObserverDefinition, { address, ...tls });
  cleanups.push(
    () => client.close(),
    () => identity?.close(),
  );
  return client;
}

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'weir-relay-tls-'));
  authority = createAuthority({ directory });
  const peerAddress = `unix:${directory}/peers.sock`;
  const peerServer = createRpcServer({ services: [peers.service], listen: [peerAddress] });
  await peerServer.start();
  const subject = await startRelay({
    ...{ nodeName: 'relay', peerService: peerAddress, listen: ['127.0.0.1:0'], version: '1', logger },
    ...{ plaintext: 'loopback', tls: authority.issue([relayServerName]) },
  });
  [address = ''] = subject.addresses;
  cleanups.push(
    () => peerServer.stop({ deadlineMs: 0 }),
    () => subject.stop(),
  );
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  rmSync(directory, { recursive: true });
});

it('asks nodes that show their own certificate, and nobody else', async () => {
  const nodes = [
    await startNode('own', nodeServerName('own')),
    await startNode('other', nodeServerName('somebody')),
    await startNode('clear', undefined),
  ];
  peers.set(nodes);
  const client = connect('reader.weir');
  while ((await client.getNodes({})).nodes.length < nodes.length) await sleep(10);
  const listed = (await client.getNodes({})).nodes.map(({ name, state, tls }) => [name, state, tls?.enabled]);
  expect(listed).toEqual([
    ['own', NODE_CONNECTED, true],
    ['other', NODE_ERROR, true],
    ['clear', NODE_UNAVAILABLE, false],
  ]);
  const seen: unknown[] = [];
  for await (const { nodeName, nodeStatus } of client.getFlows({ number: 5 })) {
    seen.push(nodeStatus ? [nodeStatus.stateChange, nodeStatus.nodeNames] : nodeName);
  }
  expect(seen).toEqual([[NODE_CONNECTED, ['own']], [NODE_UNAVAILABLE, ['other', 'clear']], 'own']);
});

it('does not talk in clear text', async () => {
  await expect(connect(undefined).serverStatus({})).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  expect(await connect('reader.weir').serverStatus({})).toMatchObject({ version: 'weir-relay v1' });
});
