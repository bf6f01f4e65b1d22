// SPDX-License-Identifier: Apache-2.0
// The thread that keeps the events of a node and serves them: reads the kernel's ring, decodes what is asked for, and speaks
// gRPC. It has a heap and an event loop of its own, so that whoever watches keeps no pod and no policy waiting.
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { openEventSource } from '@weir/datapath-loader';
import { assert, WeirError } from '@weir/errors';
import {
  countFlows,
  createFlowLog,
  createFlowMetrics,
  createObserver,
  createPeers as createPeerList,
  observerHealthName,
} from '@weir/observer';
import { createRpcServer, openTlsIdentity } from '@weir/rpc';
import { createLogger, type Logger, type LogLevel } from '@weir/telemetry';
import { Registry } from 'prom-client';
import { createMonitor, type Monitor } from '../monitor/monitor.ts';
import { createPeers } from '../monitor/peers.ts';
import { createAddressTexts } from './address-texts.ts';
import { createEventHub, type EventHub } from './event-hub.ts';
import { createFlowIdentifiers } from './flow-identifier.ts';
import { createMacTexts } from './mac-texts.ts';
import { createNames, type Names } from './names.ts';
import type { FromObserver, ObserverThreadOptions, ToObserver } from './thread-messages.ts';

const pruneIntervalMs = 60_000;
// Names outlive the flows that need them by this much, for events that are still on their way.
const pruneSlackMs = 10_000;
const stopDeadlineMs = 1_000;
// Of one metric.
const seriesMax = 10_000;

/** The live view of the node's own API, which gets its events from the agent's main thread. */
function createNodeMonitor(hub: EventHub, names: Names, node: string): Monitor {
  const peers = createPeers({
    endpointOf: (id, address) => names.endpoint(id, address, Date.now()),
    remotePodOf: (address) => names.remotePod(address, Date.now()),
    labelsOf: (identity) => names.labels(identity, Date.now()),
  });
  const originsOf = (keys: readonly string[]) => keys.map((policy) => ({ policy }));
  return createMonitor({
    ...{ datapath: hub, peers, node },
    engine: {
      policiesInDefaultDeny: (subject, direction) =>
        names.defaultDenyKeys(subject, direction === 'ingress', Date.now()),
    },
    cookies: { meaningOf: (cookie) => originsOf(names.cookieKeys(cookie)) },
    ruleSets: { meaningOf: (ruleSet) => ({ origins: originsOf(names.ruleSetKeys(ruleSet)) }) },
  });
}

/** Passes events on in batches of what comes in one turn of the loop. */
function createForwarder(monitor: Monitor, port: MessagePort) {
  const watches = new Map<number, AbortController>();
  const forward = async (watch: number, events: AsyncIterable<object>): Promise<void> => {
    let batch: object[] = [];
    const flush = (): void => {
      port.postMessage({ kind: 'watched', watch, events: batch } satisfies FromObserver);
      batch = [];
    };
    for await (const event of events) if (batch.push(event) === 1) setImmediate(flush);
  };
  return {
    start({ watch, types, endpoints }: ToObserver & { kind: 'watch' }) {
      const abort = new AbortController();
      watches.set(watch, abort);
      void forward(watch, monitor.watch({ types: new Set(types), endpoints: new Set(endpoints) }, abort.signal));
    },
    stop(watch: number) {
      watches.get(watch)?.abort();
      watches.delete(watch);
    },
  };
}

/** Counts flows, if any metrics of them are wanted. */
function startFlowMetrics({ flowMetrics }: ObserverThreadOptions, hub: EventHub) {
  const registry = new Registry();
  const stopping = new AbortController();
  if (flowMetrics.groups.length > 0) {
    const metrics = createFlowMetrics({ registry, ...flowMetrics, seriesMax });
    void countFlows({ ring: hub.ring, flowAt: hub.flowAt, metrics, signal: stopping.signal });
  }
  return { read: () => registry.metrics(), stop: () => stopping.abort() };
}

/** Writes flows to files, if they are wanted there. */
function startFlowLog({ flowLog, node }: ObserverThreadOptions, { hub, log }: { hub: EventHub; log: Logger }) {
  if (flowLog === undefined) return { stop: async () => undefined };
  const onFailed = (error: unknown): void => log.error({ error, path: flowLog.path }, 'Flows cannot be written');
  const written = createFlowLog({ ...flowLog, node, onFailed });
  const stopping = new AbortController();
  const reading = countFlows({ ring: hub.ring, flowAt: hub.flowAt, metrics: written, signal: stopping.signal });
  return {
    async stop() {
      stopping.abort();
      await reading;
      await written.close();
    },
  };
}

async function run(options: ObserverThreadOptions, port: MessagePort): Promise<void> {
  const { node, nodeLabels, version, listen, plaintext, flowsMax } = options;
  const log = createLogger({ service: 'agent', level: options.logLevel as LogLevel }).with({ node });
  const names = createNames();
  const source = openEventSource(options.bpfRoot);
  const emitter = { name: 'Weir', version };
  const texts = { addresses: createAddressTexts(), macs: createMacTexts() };
  const context = { names, node, nodeLabels, emitter, ...texts, identifierOf: createFlowIdentifiers() };
  const hub = createEventHub({ source, context, flowsMax });
  const observer = createObserver({ ring: hub.ring, flowAt: hub.flowAt, node, version: `weir v${version}` });
  const peers = createPeerList();
  const monitor = createNodeMonitor(hub, names, node);
  const forwarder = createForwarder(monitor, port);
  const flowMetrics = startFlowMetrics(options, hub);
  const flowLog = startFlowLog(options, { hub, log });
  const services = [observer.service, peers.service];
  const tls = options.tls && openTlsIdentity(options.tls, log);
  const server = createRpcServer({
    ...{ services, listen, plaintext, healthNames: [observerHealthName], log },
    ...(tls && { tls }),
  });

  const prune = setInterval(() => {
    const { ring } = hub;
    const oldestMs = ring.next === ring.oldest ? Date.now() : ring.timeNsOf(ring.oldest) / 1e6;
    names.prune(oldestMs - pruneSlackMs);
  }, pruneIntervalMs);

  const stop = async (): Promise<void> => {
    clearInterval(prune);
    flowMetrics.stop();
    await flowLog.stop();
    await server.stop({ deadlineMs: stopDeadlineMs });
    monitor.close();
    observer.close();
    hub.close();
    source.close();
    tls?.close();
    port.close();
  };
  port.on('message', (message: ToObserver) => {
    switch (message.kind) {
      case 'names':
        return message.changes.forEach(names.apply);
      case 'calls':
        hub.calls(message.log);
        return monitor.accessLog(message.log);
      case 'agent-event':
        return hub.agentEvent(message.event, message.atMs);
      case 'peers':
        return peers.set(message.nodes);
      case 'watch':
        return forwarder.start(message);
      case 'unwatch':
        return forwarder.stop(message.watch);
      case 'read-metrics':
        return void flowMetrics
          .read()
          .then((text) => port.postMessage({ kind: 'metrics', request: message.request, text } satisfies FromObserver));
      case 'stop':
        return void stop();
    }
  });
  const addresses = await server.start();
  server.health.setAll('SERVING');
  port.postMessage({ kind: 'serving', addresses } satisfies FromObserver);
}

assert(parentPort !== null, 'this is a thread');
const port = parentPort;
run(workerData as ObserverThreadOptions, port).catch((thrown: unknown) => {
  port.postMessage({ kind: 'failed', message: WeirError.from(thrown).message } satisfies FromObserver);
  port.close();
});
