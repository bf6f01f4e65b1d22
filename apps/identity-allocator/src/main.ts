// SPDX-License-Identifier: Apache-2.0
// identity-allocator: the composition root. Reads the command line, puts the parts together, and takes them apart again.
import { randomUUID } from 'node:crypto';
import { systemClock } from '@weir/clock';
import { WeirError } from '@weir/errors';
import { createRpcServer, openTlsIdentity } from '@weir/rpc';
import { startMetricsServer } from '@weir/service';
import { createLogger, type Logger } from '@weir/telemetry';
import { createClusterDirectory } from './cluster/cluster-directory.ts';
import { createClusterService } from './cluster/cluster-service.ts';
import { parseCommandLine, version, type AllocatorOptions } from './options.ts';
import { createAllocatorMetrics } from './service/allocator-metrics.ts';
import { createChangeHub } from './service/change-hub.ts';
import { createGarbageCollector } from './service/garbage-collector.ts';
import { createIdentityService } from './service/identity-service.ts';
import { createTurns } from './service/turns.ts';
import { openStore } from './open-store.ts';

const watchersMax = 10_000;
// So many snapshots at a time keep the wires busy; one that a slow client reads for longer counts no more.
const snapshotsMax = 16;
const snapshotMsMax = 5_000;
const stopDeadlineMs = 5_000;
const expiryCheckMs = 1_000;

interface Service {
  stop(): Promise<void>;
}

async function startService(options: AllocatorOptions, log: Logger): Promise<Service> {
  const clock = systemClock;
  const { leaseMs } = options.times;
  const directory = createClusterDirectory({ epoch: randomUUID(), leaseMs, clock });
  const store = await openStore(options, {
    clock,
    log,
    directory,
    onFatal: (error) => leave(1, () => log.error({ error }, 'The identity store is lost'), log),
  });
  const hub = createChangeHub({ store, clock, watchersMax });
  const turns = createTurns({ turnsMax: snapshotsMax, turnMsMax: snapshotMsMax, clock });
  const service = createIdentityService({ store, hub, clock, leaseMs, turns, log });
  const { announce } = store;
  const cluster = createClusterService({ directory, store, announce, leaseMs, clock, watchersMax, turns, log });
  const expireNodes = (): void => {
    store.expireNodes().then(
      (nodes) => nodes.forEach((node) => log.warn({ node }, 'Node is gone, its lease has run out')),
      (error: unknown) => log.debug({ error }, 'Cannot look for nodes that are gone'),
    );
  };
  const expire = setInterval(expireNodes, Math.min(expiryCheckMs, leaseMs / 4));
  const { gcIntervalMs: intervalMs } = options;
  const collector = intervalMs === undefined ? undefined : createGarbageCollector({ store, clock, intervalMs, log });
  const { listen, plaintext } = options;
  const tls = options.tls && openTlsIdentity(options.tls, log);
  const server = createRpcServer({
    ...{ services: [service, cluster.service], listen, plaintext, log },
    ...(tls && { tls }),
  });

  const addresses = await server.start();
  collector?.start();
  const tellHealth = (): void => server.health.setAll(store.away === undefined ? 'SERVING' : 'NOT_SERVING');
  const stopTelling = store.onChange(tellHealth);
  tellHealth();
  const metrics =
    options.metrics &&
    (await startMetricsServer({
      ...options.metrics,
      registry: createAllocatorMetrics({ store, hub, directory }),
      unwell: () => store.away?.reason,
    }));
  if (metrics !== undefined) log.info({ address: metrics.address }, 'Serving metrics');
  const { epoch, revision, counts } = store;
  log.info({ version, epoch, revision, count: counts.identities }, 'Identity store opened');
  for (const address of addresses) log.info({ address, pid: process.pid }, 'Serving');

  return {
    async stop() {
      collector?.stop();
      stopTelling();
      clearInterval(expire);
      await metrics?.close();
      await server.stop({ deadlineMs: stopDeadlineMs });
      hub.close();
      cluster.close();
      await store.close();
    },
  };
}

function leave(status: 0 | 1, lastWords: () => void, log: Logger): void {
  lastWords();
  log.flush();
  process.exit(status);
}

async function run(options: AllocatorOptions): Promise<void> {
  const base = createLogger({ service: 'identity-allocator', level: options.logLevel });
  const log = options.nodeName === undefined ? base : base.with({ node: options.nodeName });
  const fail = (thrown: unknown): void => {
    const error = WeirError.from(thrown);
    leave(1, () => log.error({ error }, 'Cannot go on'), log);
  };
  const service = await startService(options, log).catch(fail);
  if (service === undefined) return;

  let stopping = false;
  const stop = (signal: NodeJS.Signals): void => {
    // Asked twice: whoever asks does not want to wait.
    if (stopping) return leave(1, () => log.warn({ signal }, 'Stopped at once'), log);
    stopping = true;
    log.info({ signal }, 'Stopping');
    service.stop().then(() => leave(0, () => log.info({}, 'Stopped'), log), fail);
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}

const commandLine = parseCommandLine(process.argv.slice(2));
if (commandLine.kind === 'run') {
  await run(commandLine.options);
} else {
  (commandLine.status === 0 ? process.stdout : process.stderr).write(commandLine.output);
  process.exitCode = commandLine.status;
}
