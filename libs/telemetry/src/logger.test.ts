// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { WeirError } from '@weir/errors';
import { createLogger, createLoopDelayMonitor } from './index.ts';
import { formatPretty } from './pretty.ts';

const capture = (): { lines: string[]; destination: { write(line: string): void } } => {
  const lines: string[] = [];
  return { lines, destination: { write: (line) => void lines.push(line) } };
};

describe('createLogger', () => {
  it('writes one JSON object a line with time, level, service, message and fields', () => {
    const { lines, destination } = capture();
    createLogger({ service: 'agent', destination }).info({ node: 'a', identity: 256 }, 'Identity allocated');
    expect(JSON.parse(lines[0]!)).toEqual({
      level: 'info',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      service: 'agent',
      node: 'a',
      identity: 256,
      message: 'Identity allocated',
    });
    expect(lines[0]).toMatch(/^[^\n]+\n$/);
  });

  it('writes nothing below its level', () => {
    const { lines, destination } = capture();
    const log = createLogger({ service: 'agent', level: 'warn', destination });
    log.info({}, 'Not seen');
    log.warn({}, 'Seen');
    expect(lines).toHaveLength(1);
  });

  it('adds the fields of `with` to every line', () => {
    const { lines, destination } = capture();
    createLogger({ service: 'agent', destination }).with({ node: 'a' }).warn({ count: 1 }, 'Seen');
    expect(JSON.parse(lines[0]!)).toMatchObject({ node: 'a', count: 1 });
  });

  it('writes an error with its code, details and causes, to a bounded depth', () => {
    const { lines, destination } = capture();
    const cause = new TypeError('inner');
    cause.cause = cause;
    const error = new WeirError('NOT_FOUND', 'No such thing', { cause, details: { name: 'x' } });
    createLogger({ service: 'agent', destination }).error({ error }, 'Failed');
    expect(JSON.parse(lines[0]!)).toMatchObject({
      error: { code: 'NOT_FOUND', message: 'No such thing', details: { name: 'x' }, cause: { message: 'inner' } },
    });
  });

  it('takes constant messages only', () => {
    const log = createLogger({ service: 'agent', destination: capture().destination });
    const name: string = 'x';
    // @ts-expect-error values belong into fields
    log.info({}, `Pod ${name} added`);
    // @ts-expect-error a key that is not in the list
    log.info({ podName: name }, 'Pod added');
  });
});

describe('formatPretty', () => {
  it('gives one line with time of day, level, service, message, fields and the chain of causes', () => {
    const { lines, destination } = capture();
    const error = new WeirError('UNAVAILABLE', 'Cannot reach it', { cause: new Error('connect refused') });
    createLogger({ service: 'agent', destination }).error({ node: 'n 1', error }, 'Failed');
    const plain = formatPretty(lines[0]!).replaceAll(/\u001b\[\d+m/g, '');
    expect(plain).toMatch(
      /^\d\d:\d\d:\d\d\.\d{3} ERROR agent Failed node="n 1" error=UNAVAILABLE: Cannot reach it ← connect refused$/,
    );
  });
});

describe('createLoopDelayMonitor', () => {
  it('reports a stall once, and nothing on an idle loop', async () => {
    const monitor = createLoopDelayMonitor({ resolutionMs: 10 });
    const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
    await sleep(50);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
    await sleep(50);
    expect(monitor.read().maxMs).toBeGreaterThan(150);
    await sleep(50);
    expect(monitor.read().maxMs).toBeLessThan(150);
    monitor.stop();
  });
});
