// SPDX-License-Identifier: Apache-2.0
// monitor-relay: the composition root.
import { runService } from '@weir/service';
import { createLogger } from '@weir/telemetry';
import { parseCommandLine, version } from './options.ts';
import { startRelay } from './relay.ts';

await runService({
  commandLine: parseCommandLine(process.argv.slice(2)),
  logger: ({ logLevel, nodeName }) =>
    createLogger({ service: 'monitor-relay', level: logLevel }).with({ node: nodeName }),
  start: (options, logger) => startRelay({ ...options, version, logger }),
});
