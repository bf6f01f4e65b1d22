// SPDX-License-Identifier: Apache-2.0
// A relay that serves its page, in front of nodes that serve real rings of flows.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Flow, FlowEndpoint } from '@weir/flow';
import { createEventRing, createObserver, createPeers, recordKind } from '@weir/observer';
import { flow, ObserverDefinition } from '@weir/proto';
import { createRpcClient, createRpcServer } from '@weir/rpc';
import { createLogger } from '@weir/telemetry';
import { type Relay, startRelay } from '../../relay.ts';
import type { PageOptions } from '../page-flags.ts';

const { Verdict, L7FlowType, TrafficDirection } = flow;

/** A node whose flows are whatever is pushed. */
export interface PlayedNode {
  readonly name: string;
  push(...flows: readonly Flow[]): void;
  stop(): Promise<void>;
}

/** What the page is tested in. */
export interface PageWorld {
  readonly directory: string;
  readonly nodes: readonly [PlayedNode, PlayedNode];
  readonly relay: Relay;
  readonly url: string;
  /** Starts the relay anew at the same address. */
  startRelayAgain(): Promise<void>;
  stop(): Promise<void>;
}

const logger = createLogger({ service: 'test', level: 'silent' });

async function startNode(name: string, { directory, capacity }: { directory: string; capacity: number }) {
  const ring = createEventRing({ capacity, rawBytes: 8 });
  const flowAt = (number: number): Flow => ring.valueOf(number) as Flow;
  const subject = createObserver({ ring, flowAt, node: name, version: 'weir v0' });
  const address = `unix://${directory}/${name}.sock`;
  const server = createRpcServer({ services: [subject.service], listen: [address.replace('//', '')] });
  await server.start();
  const node: PlayedNode & { address: string } = {
    ...{ name, address },
    push(...flows) {
      for (const each of flows) {
        const nowMs = Date.now();
        const time = { seconds: Math.floor(nowMs / 1_000), nanos: (nowMs % 1_000) * 1e6 };
        ring.push(recordKind.value, { value: { nodeName: name, time, ...each }, timeNs: nowMs * 1e6 });
      }
    },
    async stop() {
      subject.close();
      await server.stop({ deadlineMs: 0 });
    },
  };
  return node;
}

/** Waits until a relay knows all nodes. */
async function known(address: string, count: number): Promise<void> {
  const client = createRpcClient(ObserverDefinition, { address, waitForReady: true });
  try {
    await eventually('the relay knows the nodes', async () => (await client.getNodes({})).nodes.length === count);
  } finally {
    client.close();
  }
}

/** Starts it all; the page is on a free port of this machine. */
export async function startPageWorld({
  page = {},
  capacity = 4_095,
}: { readonly page?: Partial<PageOptions>; readonly capacity?: number } = {}): Promise<PageWorld> {
  const directory = mkdtempSync(join(tmpdir(), 'weir-page-'));
  const nodes = [await startNode('node1', { directory, capacity }), await startNode('node2', { directory, capacity })];
  const peers = createPeers();
  const peerService = `unix:${directory}/peers.sock`;
  const peerServer = createRpcServer({ services: [peers.service], listen: [peerService] });
  await peerServer.start();
  peers.set(nodes);
  const address = `unix:${directory}/relay.sock`;
  const start = async (port: number): Promise<Relay> => {
    const started = await startRelay({
      ...{ nodeName: 'relay', peerService, listen: [address], version: '1', logger },
      ...{ plaintext: 'loopback', times: { waitMs: 50, retryDelayMs: 100, silenceMs: 1_000 } },
      page: { host: '127.0.0.1', port, tls: undefined, tokenFile: undefined, ...page },
    });
    await known(address, nodes.length);
    return started;
  };
  let relay = await start(0);
  const { pageUrl: url = '' } = relay;
  return {
    ...{ directory, url, nodes: nodes as unknown as PageWorld['nodes'] },
    get relay() {
      return relay;
    },
    async startRelayAgain() {
      relay = await start(Number(new URL(url).port));
    },
    async stop() {
      await relay.stop();
      for (const node of nodes) await node.stop();
      await peerServer.stop({ deadlineMs: 0 });
      rmSync(directory, { recursive: true });
    },
  };
}

/** A pod, as flows have it. */
export const podEnd = (podName: string, app = podName, namespace = 'shop'): FlowEndpoint => ({
  ...{ namespace, podName, identity: 1_000 + app.length, workloads: [{ kind: 'Deployment', name: app }] },
  labels: [`k8s:app=${app}`, `k8s:io.kubernetes.pod.namespace=${namespace}`],
});

let clientPort = 30_000;

/** The first packet of a connection, and what was said of it. */
export function connectionFlow(
  source: FlowEndpoint,
  destination: FlowEndpoint,
  { isDenied = false, port = 80, ...more }: { isDenied?: boolean; port?: number } & Flow = {},
): Flow {
  clientPort = clientPort >= 60_000 ? 30_000 : clientPort + 1;
  const policies = [{ kind: 'CiliumNetworkPolicy', namespace: 'shop', name: 'landing', revision: 3 }];
  return {
    ...{ source, destination, IP: { source: '10.244.1.2', destination: '10.244.1.3', ipVersion: 1 } },
    ...{ l4: { TCP: { sourcePort: clientPort, destinationPort: port, flags: { SYN: true } } } },
    ...{ Summary: 'TCP Flags: SYN', trafficDirection: TrafficDirection.INGRESS, isReply: { value: false } },
    ...(isDenied
      ? { verdict: Verdict.DROPPED, eventType: { type: 1, subType: 133 }, dropReason: 133, ingressDeniedBy: policies }
      : { verdict: Verdict.FORWARDED, eventType: { type: 5 }, policyMatchType: 1, ingressAllowedBy: policies }),
    ...more,
  };
}

/** The answer to a call; its source is the server. */
export const answerFlow = (
  server: FlowEndpoint,
  client: FlowEndpoint,
  { url = 'http://server/', code = 200, ms = 4 }: { url?: string; code?: number; ms?: number } = {},
): Flow => ({
  ...{ source: server, destination: client, IP: { source: '10.244.1.3', destination: '10.244.1.2', ipVersion: 1 } },
  ...{ l4: { TCP: { sourcePort: 80, destinationPort: 40_000 } }, isReply: { value: true } },
  ...{ eventType: { type: 129 }, verdict: Verdict.FORWARDED, trafficDirection: TrafficDirection.INGRESS },
  l7: { type: L7FlowType.RESPONSE, latencyNs: ms * 1e6, http: { method: 'GET', url, code, protocol: 'HTTP/1.1' } },
});

/** Waits until something is there, for as long as a busy machine may take. */
export async function eventually<Value>(
  what: string,
  look: () => Promise<Value | undefined | false> | Value | undefined | false,
): Promise<Value> {
  const untilMs = performance.now() + 30_000;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > untilMs) throw new Error(`Not in 30 s: ${what}`);
    await sleep(25);
  }
}
