// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import type { Logger } from '@weir/telemetry';
import type { CommandLine } from './command-line.ts';

/** A service that runs. */
export interface RunningService {
  /** Ends it in good order; what clients have been told still holds. */
  stop(): Promise<void>;
}

export interface ServiceDescription<Options> {
  readonly commandLine: CommandLine<Options>;
  readonly logger: (options: Options) => Logger;
  /** Resolves once the service serves. */
  readonly start: (options: Options, logger: Logger) => Promise<RunningService>;
}

// A process that is told to stop must end before whoever told it loses patience.
const stopTimeoutMs = 20_000;

function leave(status: 0 | 1, lastWords: () => void, logger: Logger): void {
  lastWords();
  logger.flush();
  process.exit(status);
}

/**
 * Runs a service until SIGTERM or SIGINT: then it stops in good order, or at once when it is asked again. Exit status: 0
 * stopped or asked for help, 1 failed, 2 the command line is wrong.
 */
export async function runService<Options>(description: ServiceDescription<Options>): Promise<void> {
  const { commandLine } = description;
  if (commandLine.kind === 'exit') {
    (commandLine.status === 0 ? process.stdout : process.stderr).write(commandLine.output);
    process.exitCode = commandLine.status;
    return;
  }
  const logger = description.logger(commandLine.options);
  const fail = (thrown: unknown): void => {
    const error = WeirError.from(thrown);
    leave(1, () => logger.error({ error }, 'Cannot go on'), logger);
  };
  // A bug. What it has left half done nobody knows; a service that starts anew does.
  process.on('uncaughtException', fail);
  const service = await description.start(commandLine.options, logger).catch(fail);
  if (service === undefined) return;

  let stopping = false;
  const stop = (signal: NodeJS.Signals): void => {
    // Asked twice: whoever asks does not want to wait.
    if (stopping) return leave(1, () => logger.warn({ signal }, 'Stopped at once'), logger);
    stopping = true;
    logger.info({ signal }, 'Stopping');
    setTimeout(() => {
      leave(1, () => logger.error({ limit: stopTimeoutMs }, 'Does not stop; left at once'), logger);
    }, stopTimeoutMs).unref();
    service.stop().then(() => leave(0, () => logger.info({}, 'Stopped'), logger), fail);
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}
