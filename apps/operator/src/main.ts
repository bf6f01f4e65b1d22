// SPDX-License-Identifier: Apache-2.0
// operator: the composition root. Puts the parts together, and takes them apart again.
import { randomUUID } from 'node:crypto';
import { systemClock } from '@weir/clock';
import { allocatorConnection, createClusterWatcher } from '@weir/identity-client';
import { IdentityAllocatorDefinition } from '@weir/proto';
import { createRpcClient, createRpcServer, openTlsIdentity } from '@weir/rpc';
import { runService, type RunningService, startMetricsServer } from '@weir/service';
import { createSharedLog } from '@weir/shared-log';
import { createLogger, type Logger } from '@weir/telemetry';
import { createDuties } from './duties.ts';
import { createLeaderElection } from './leader/leader-election.ts';
import { openStore } from './open-store.ts';
import { parseCommandLine, type OperatorOptions, version } from './options.ts';
import { createAbsentNodes } from './ranges/absent-nodes.ts';
import { createRangeLedger } from './ranges/range-ledger.ts';
import { createOperatorMetrics } from './service/operator-metrics.ts';
import { createOperatorService } from './service/operator-service.ts';
import { describeOperator } from './service/operator-status.ts';

const stopDeadlineMs = 2_000;
// The allocator works through all of its identities.
const collectDeadlineMs = 30_000;

function wireParts(options: OperatorOptions, logger: Logger) {
  const clock = systemClock;
  const { name, pools, storePrefix, graceMs, gcIntervalMs } = options;
  const identity = options.tls && openTlsIdentity(options.tls, logger);
  const toAllocator = { address: options.identityAllocator, ...(identity && { tls: identity }) };
  const store = openStore(options.store);
  const election = createLeaderElection({
    ...{ store, key: `${storePrefix}/leader`, name, id: randomUUID(), leaseMs: options.leaderLeaseMs, clock, logger },
  });
  const log = createSharedLog({ store, prefix: `${storePrefix}/ranges` });
  const ledger = createRangeLedger({ log, pools, logger });
  const cluster = createClusterWatcher({ ...toAllocator, name: `operator-${name}`, clock, log: logger });
  const allocator = createRpcClient(IdentityAllocatorDefinition, allocatorConnection(toAllocator));
  const absent = createAbsentNodes({ graceMs, clock });
  const duties = createDuties({
    ...{ election, ledger, cluster, absent, clock, logger, graceMs, gcIntervalMs },
    collectGarbage: async () => (await allocator.collectGarbage({}, { deadlineMs: collectDeadlineMs })).deleted,
  });
  return { pools, identity, election, ledger, cluster, allocator, absent, duties };
}

async function startOperator(options: OperatorOptions, logger: Logger): Promise<RunningService> {
  const startedMs = Date.now();
  const parts = wireParts(options, logger);
  const { identity: tls, election, ledger, cluster, allocator, duties } = parts;
  const { name, listen, plaintext } = options;
  const status = () => describeOperator({ ...parts, name, version, startedMs });
  const service = createOperatorService({ ...parts, status, log: logger });
  const server = createRpcServer({ services: [service], listen, plaintext, ...(tls && { tls }), log: logger });
  const addresses = await server.start();
  const metrics =
    options.metrics &&
    (await startMetricsServer({
      ...options.metrics,
      registry: createOperatorMetrics(parts),
      unwell: () => election.away,
      status,
    }));
  if (metrics !== undefined) logger.info({ address: metrics.address }, 'Serving metrics');
  for (const address of addresses) logger.info({ version, address, pid: process.pid }, 'Serving');
  cluster.start();
  election.start();
  duties.start();
  server.health.setAll('SERVING');
  return {
    async stop() {
      await duties.stop();
      await election.stop();
      await metrics?.close();
      await server.stop({ deadlineMs: stopDeadlineMs });
      await cluster.stop();
      allocator.close();
      ledger.close();
    },
  };
}

await runService({
  commandLine: parseCommandLine(process.argv.slice(2)),
  logger: ({ logLevel }) => createLogger({ service: 'operator', level: logLevel }),
  start: startOperator,
});
