// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { pino } from 'pino';
import type { LogFields } from './log-fields.ts';
import { createPrettyDestination } from './pretty.ts';

/** What may be logged at, from most to least; `silent` writes nothing. */
export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

/** A string literal: values go into fields, so that the same event has the same message everywhere. */
export type ConstantMessage<Message extends string> =
  Record<never, never> extends Record<Message, unknown> ? never : Message;

type Log = <const Message extends string>(fields: LogFields, message: ConstantMessage<Message>) => void;

/** Writes one JSON object a line: `time`, `level`, `service`, `message`, and the fields. Never throws, never blocks. */
export interface Logger {
  readonly debug: Log;
  readonly info: Log;
  readonly warn: Log;
  readonly error: Log;
  /** A logger whose lines carry `fields` as well. */
  with(fields: LogFields): Logger;
  /** Writes out what is still buffered; for the last line before the process ends. */
  flush(): void;
}

export interface LoggerOptions {
  readonly service: string;
  /** `info` by default. */
  readonly level?: LogLevel;
  /** Where lines go. By default stderr: JSON, or coloured single lines where stderr is a terminal. */
  readonly destination?: { write(line: string): void };
}

// What a reader that has stopped reading our stderr can make us hold; beyond it lines are dropped.
const bufferedBytesMax = 1024 * 1024;

interface Destination {
  write(line: string): void;
  flushSync?(): void;
}

const stderrDestination = (): Destination =>
  process.stderr.isTTY
    ? createPrettyDestination(process.stderr)
    : pino.destination({ dest: 2, sync: false, maxLength: bufferedBytesMax });

/** Errors in a form that JSON can carry: with code and details, and with causes, up to a depth of 4. */
function serializeError(thrown: unknown, depth = 0): unknown {
  if (!(thrown instanceof Error)) return thrown;
  const weir = thrown instanceof WeirError ? { code: thrown.code, details: thrown.details } : {};
  const cause = thrown.cause === undefined || depth >= 4 ? {} : { cause: serializeError(thrown.cause, depth + 1) };
  return { message: thrown.message, ...weir, stack: thrown.stack, ...cause };
}

/** Makes the logger of a service. One per process, made by its composition root and handed down. */
export function createLogger(options: LoggerOptions): Logger {
  const destination: Destination = options.destination ?? stderrDestination();
  const root = pino(
    {
      level: options.level ?? 'info',
      base: { service: options.service },
      messageKey: 'message',
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: (thrown: unknown) => serializeError(thrown) },
    },
    destination,
  );
  return fromPino(root, () => destination.flushSync?.());
}

function fromPino(instance: pino.Logger, flush: () => void): Logger {
  return {
    debug: (fields, message) => instance.debug(fields, message),
    info: (fields, message) => instance.info(fields, message),
    warn: (fields, message) => instance.warn(fields, message),
    error: (fields, message) => instance.error(fields, message),
    with: (fields) => fromPino(instance.child(fields), flush),
    flush,
  };
}
