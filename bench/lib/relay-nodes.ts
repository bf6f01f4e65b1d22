// SPDX-License-Identifier: Apache-2.0
// A process of its own that plays the nodes of a cluster to a monitor-relay: a peer service, and for each node a real ring of
// flows behind the real observer. Arguments: directory for its sockets, nodes, flows a second of each. Prints "ready", and ends
// when its standard input does.
import { join } from 'node:path';
import { monitorType, timestampOf, type Flow } from '@weir/flow';
import { createEventRing, createObserver, createPeers, type EventRing, recordKind } from '@weir/observer';
import { createRpcServer } from '@weir/rpc';

const [directory = '', nodeCount = '', rate = ''] = process.argv.slice(2);
const ringFlows = 4_096;
const tickMs = 20;

const end = (pod: string, identity: number): NonNullable<Flow['source']> => ({
  ...{ ID: identity, identity, namespace: 'shop', podName: pod, clusterName: 'default' },
  labels: ['k8s:app=web', 'k8s:io.cilium.k8s.policy.cluster=default', 'k8s:io.kubernetes.pod.namespace=shop'],
});
const ends = [end('client-6b8f4c9d7-x2v5q', 300), end('server-5d9c7f8b6-k7m2p', 301)] as const;
const [source, destination] = ends;
const ethernet = { source: '02:00:00:00:00:01', destination: 'ee:ee:ee:ee:ee:ee' };
const IP = { source: '10.1.0.11', destination: '10.2.0.12', ipVersion: 1 };
const eventType = { type: monitorType.trace, subType: 0 };
const emitter = { name: 'Weir', version: '0' };

function push(ring: EventRing, nodeName: string, timeMs: number): void {
  const value: Flow = {
    ...{
      time: timestampOf(timeMs),
      nodeName,
      verdict: 1,
      Type: 1,
      eventType,
      emitter,
      ethernet,
      IP,
      source,
      destination,
    },
    l4: { TCP: { sourcePort: 40_000 + (ring.next % 20_000), destinationPort: 80, flags: { ACK: true } } },
    ...{ trafficDirection: 1, traceObservationPoint: 101, traceReason: 2, isReply: { value: false } },
    ...{ uuid: `9b2f6c1e-0000-4000-8000-${String(ring.next).padStart(12, '0')}`, Summary: 'TCP Flags: ACK' },
  };
  ring.push(recordKind.value, { value, timeNs: timeMs * 1e6 });
}

const peers = createPeers();
const names = Array.from({ length: Number(nodeCount) }, (_, index) => `node-${index}`);
const rings = names.map(() => createEventRing({ capacity: ringFlows, rawBytes: 8 }));
for (const [index, name] of names.entries()) {
  const ring = rings[index] as EventRing;
  const flowAt = (number: number): Flow => ring.valueOf(number) as Flow;
  const { service } = createObserver({ ring, flowAt, node: name, version: 'weir v0' });
  await createRpcServer({ services: [service], listen: [`unix:${join(directory, `${name}.sock`)}`] }).start();
}
await createRpcServer({ services: [peers.service], listen: [`unix:${join(directory, 'peers.sock')}`] }).start();
peers.set(names.map((name) => ({ name, address: `unix://${join(directory, `${name}.sock`)}` })));

const beginMs = performance.now();
let pushed = 0;
setInterval(() => {
  const due = Math.floor(((performance.now() - beginMs) / 1_000) * Number(rate));
  for (; pushed < due; pushed++) {
    const nowMs = Date.now();
    rings.forEach((ring, index) => push(ring, names[index] ?? '', nowMs));
  }
}, tickMs);
process.stdout.write('ready\n');
process.stdin.on('end', () => process.exit(0)).resume();
