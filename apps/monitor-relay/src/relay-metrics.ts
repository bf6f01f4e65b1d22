// SPDX-License-Identifier: Apache-2.0
import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client';
import type { NodePool } from './node-pool.ts';
import type { PageTraffic } from './page/flow-stream.ts';

/** What readers of the relay have been given. */
export interface RelayTraffic {
  readers: number;
  responses: number;
  bytes: number;
}

/** What the relay counts, read at the moment of a scrape, and what Node.js says of the process. */
export function createRelayMetrics({
  pool,
  traffic,
  pageTraffic,
}: {
  readonly pool: NodePool;
  readonly traffic: RelayTraffic;
  readonly pageTraffic: PageTraffic;
}): Registry {
  const registry = new Registry();
  const registers = [registry];
  const gauge = (name: string, help: string, read: () => number): Gauge =>
    new Gauge({
      ...{ name: `weir_relay_${name}`, help, registers },
      collect() {
        this.set(read());
      },
    });
  gauge('nodes', 'Nodes that the relay knows', () => pool.list().length);
  gauge(
    'nodes_unreachable',
    'Nodes of these that cannot be asked: no address, or no TLS in common',
    () => pool.list().filter(({ client }) => client === undefined).length,
  );
  gauge('peer_service_away', '1 while nobody tells of nodes', () => (pool.isListening ? 0 : 1));
  gauge('readers', 'Streams of flows that are open', () => traffic.readers);
  gauge('page_readers', 'Browsers that are shown flows', () => pageTraffic.readers);
  const counter = (name: string, help: string, read: () => number): Counter =>
    new Counter({
      ...{ name: `weir_relay_${name}_total`, help, registers },
      collect() {
        this.reset();
        this.inc(read());
      },
    });
  counter('responses', 'Flows and other responses that readers were given', () => traffic.responses);
  counter('response_bytes', 'Bytes of these', () => traffic.bytes);
  counter('page_flows', 'Flows that browsers were given', () => pageTraffic.flows);
  counter('page_lost', 'Flows that browsers were too slow for', () => pageTraffic.lost);
  counter('page_refused', 'Requests for flows without the right to them', () => pageTraffic.refused);
  collectDefaultMetrics({ register: registry });
  return registry;
}
