// SPDX-License-Identifier: Apache-2.0
// l7-proxy: the composition root. Reads the command line, puts the parts together, and takes them apart again.
import { systemClock } from '@weir/clock';
import { WeirError } from '@weir/errors';
import { createLogger, type Logger } from '@weir/telemetry';
import { createAccessLog } from './access-log/access-log.ts';
import { batchBytesMax } from './access-log/call-batch.ts';
import { boundLog } from './bounded-log.ts';
import { startControlSession } from './control/control-session.ts';
import { openDatapathTraffic } from './datapath-traffic.ts';
import { createProxyServer } from './exchange/proxy-server.ts';
import { createWallTime } from './exchange/wall-time.ts';
import { parseCommandLine, version, type ProxyOptions } from './options.ts';
import { createJudge } from './rules/judge.ts';
import { createJudgementCache } from './rules/judgement-cache.ts';
import { createRuleSetFile } from './rules/rule-set-file.ts';
import { createRuleSetSaver } from './rules/rule-set-saver.ts';
import { createRuleSets, type RuleSets } from './rules/rule-sets.ts';
import { readStaticTraffic } from './static-traffic.ts';
import type { Traffic } from './traffic.ts';

const clock = systemClock;
const sweepIntervalMs = 1_000;
// A second.
const trafficLogLinesMax = 20;
const accessLogBatch = { batchCallsMax: 256, batchDelayMs: 20 };

interface Service {
  stop(): Promise<void>;
}

async function startService(options: ProxyOptions, log: Logger): Promise<Service> {
  const ruleSets = createRuleSets();
  const file = createRuleSetFile(options.ruleSetPath);
  const saver = createRuleSetSaver({ ruleSets, file, log });
  const judge = createJudge({ ruleSets, cache: createJudgementCache() });
  const queuedBatchesMax = Math.floor(options.accessLogBytesMax / batchBytesMax);
  const accessLog = createAccessLog({ clock, ...accessLogBatch, queuedBatchesMax });
  const { agent, limits, connectionsMax, upgradeProtocols } = options;

  const traffic = await openTraffic(options, { ruleSets, log });
  if (options.staticFile === undefined) await loadSaved(file.load(), { ruleSets, log });
  const { flows, sockets } = traffic;
  const wallTime = createWallTime(clock);
  const trafficLog = boundLog(log, { clock, linesMax: trafficLogLinesMax });
  const exchange = { judge, flows, sockets, accessLog, clock, wallTime, log: trafficLog, limits, upgradeProtocols };
  const server = createProxyServer({ ...exchange, connectionsMax, sweepIntervalMs });
  const port = await server.start();
  traffic.announce(port);
  log.info({ version, pid: process.pid, address: `port ${port}`, count: ruleSets.size }, 'Serving');

  const hello = { node: options.nodeName, port, pid: process.pid };
  const onUpdate = (): void => saver.save();
  const session =
    agent === undefined
      ? undefined
      : startControlSession({ address: agent, hello, ruleSets, onUpdate, accessLog, clock, log });

  return {
    async stop() {
      await server.stop({ deadlineMs: options.shutdownTimeoutMs });
      await session?.stop();
      await saver.settled();
      traffic.close();
    },
  };
}

interface Rules {
  readonly ruleSets: RuleSets;
  readonly log: Logger;
}

async function openTraffic({ bpfRoot, port, staticFile }: ProxyOptions, { ruleSets, log }: Rules): Promise<Traffic> {
  if (staticFile === undefined) return openDatapathTraffic({ bpfRoot, port, log });
  const traffic = await readStaticTraffic(staticFile);
  await ruleSets.apply({ snapshot: true, upserted: traffic.ruleSets, deleted: [] });
  return traffic;
}

/** Rules of the last run hold until the agent says otherwise. Without them every request is refused until then. */
async function loadSaved(
  loading: ReturnType<ReturnType<typeof createRuleSetFile>['load']>,
  rules: Rules,
): Promise<void> {
  try {
    await rules.ruleSets.apply({ snapshot: true, upserted: await loading, deleted: [] });
  } catch (error) {
    rules.log.error({ error }, 'Starting without the saved rule sets');
  }
}

function leave(status: 0 | 1, lastWords: () => void, log: Logger): void {
  lastWords();
  log.flush();
  process.exit(status);
}

async function run(options: ProxyOptions): Promise<void> {
  const log = createLogger({ service: 'l7-proxy', level: options.logLevel }).with({ node: options.nodeName });
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
