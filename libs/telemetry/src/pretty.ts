// SPDX-License-Identifier: Apache-2.0
import picocolors from 'picocolors';

const colors = picocolors.createColors(true);
const levelColor: Record<string, (text: string) => string> = {
  debug: colors.gray,
  info: colors.green,
  warn: colors.yellow,
  error: colors.red,
};

interface ErrorField {
  readonly code?: string;
  readonly message?: string;
  readonly cause?: unknown;
}

/** An error on one line: code, message and those of its causes. Stacks are in the JSON, which is what machines keep. */
function formatError(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value);
  const { code, message, cause } = value as ErrorField;
  const text = code === undefined ? (message ?? '') : `${code}: ${message ?? ''}`;
  return cause === undefined ? text : `${text} ← ${formatError(cause)}`;
}

const formatValue = (key: string, value: unknown): string => {
  if (key === 'error') return formatError(value);
  return typeof value === 'string' && /^[\w./:@-]+$/.test(value) ? value : JSON.stringify(value);
};

/** One log line for a person: time of day, level, message, then `key=value` in grey. */
export function formatPretty(line: string): string {
  const { time, level, service, message, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const color = levelColor[String(level)] ?? String;
  const values = Object.entries(fields).map(([key, value]) => colors.gray(`${key}=${formatValue(key, value)}`));
  const head = `${colors.gray(String(time).slice(11, 23))} ${color(String(level).toUpperCase().padEnd(5))}`;
  return [`${head} ${colors.cyan(String(service))} ${String(message)}`, ...values].join(' ');
}

/** Turns JSON lines into lines for a terminal. */
export function createPrettyDestination(stream: { write(text: string): unknown }): { write(line: string): void } {
  return { write: (line) => void stream.write(`${formatPretty(line)}\n`) };
}
