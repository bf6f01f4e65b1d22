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
import { createStoreClaims } from './leader/leader-claims.ts';
import { createLeaderElection } from './leader/leader-election.ts';
import { openKubernetes } from './kubernetes/open-kubernetes.ts';
import { openStore } from './open-store.ts';
import { parseCommandLine, type OperatorOptions, version } from './options.ts';
import { createAbsentNodes } from './ranges/absent-nodes.ts';
import { createRangeGiver } from './ranges/range-giver.ts';
import { createRangeLedger } from './ranges/range-ledger.ts';
import { createOperatorMetrics } from './service/operator-metrics.ts';
import { createOperatorService } from './service/operator-service.ts';
import { describeOperator } from './service/operator-status.ts';

const stopDeadlineMs = 2_000;
// The allocator works through all of its identities.
const collectDeadlineMs = 30_000;

async function wireParts(options: OperatorOptions, logger: Logger) {
  const clock = systemClock;
  const { name, pools, storePrefix, graceMs, gcIntervalMs, leaderLeaseMs: leaseMs } = options;
  const identity = options.tls && openTlsIdentity(options.tls, logger);
  const toAllocator = { address: options.identityAllocator, ...(identity && { tls: identity }) };
  const store = openStore(options.store);
  const kubernetes = options.kubernetes && (await openKubernetes(options.kubernetes, { leaseMs, clock, logger }));
  const claims = kubernetes?.claims ?? createStoreClaims({ store, key: `${storePrefix}/leader`, clock });
  const election = createLeaderElection({ claims, name, id: randomUUID(), leaseMs, clock, logger });
  const log = createSharedLog({ store, prefix: `${storePrefix}/ranges` });
  const ledger = createRangeLedger({ log, pools, logger });
  const cluster = createClusterWatcher({ ...toAllocator, name: `operator-${name}`, clock, log: logger });
  const allocator = createRpcClient(IdentityAllocatorDefinition, allocatorConnection(toAllocator));
  const absent = createAbsentNodes({ graceMs, clock });
  const giver = createRangeGiver({ ledger, cluster });
  const inKubernetes = kubernetes?.duties({ election, giver });
  // A node of Kubernetes whose agent is away keeps its ranges.
  const isExpected = (node: string): boolean =>
    inKubernetes !== undefined && (!inKubernetes.knowsNodes || inKubernetes.nodes.has(node));
  const duties = createDuties({
    ...{ election, ledger, cluster, absent, isExpected, clock, logger, graceMs, gcIntervalMs },
    collectGarbage: async () => (await allocator.collectGarbage({}, { deadlineMs: collectDeadlineMs })).deleted,
  });
  return { pools, graceMs, identity, election, ledger, giver, cluster, allocator, absent, duties, inKubernetes };
}

async function startOperator(options: OperatorOptions, logger: Logger): Promise<RunningService> {
  const startedMs = Date.now();
  const parts = await wireParts(options, logger);
  const { identity: tls, election, ledger, cluster, allocator, duties, inKubernetes } = parts;
  const { name, listen, plaintext } = options;
  const status = () => describeOperator({ ...parts, name, version, startedMs });
  const otherGiver = options.kubernetes?.podRanges === 'kubernetes' ? { otherGiver: 'Kubernetes' } : {};
  const service = createOperatorService({ ...parts, ...otherGiver, status, log: logger });
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
  inKubernetes?.start();
  server.health.setAll('SERVING');
  return {
    async stop() {
      await inKubernetes?.stop();
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
