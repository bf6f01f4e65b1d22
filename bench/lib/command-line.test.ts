// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { parseCommandLine } from './command-line.ts';
import { runParts } from './run-parts.ts';

const names = ['agent', 'cni', 'pod-network'];

describe('parseCommandLine()', () => {
  it('takes all parts unless told, and those it is told once and in order', () => {
    expect(parseCommandLine([], names)).toMatchObject({ parts: names, output: 'table', runs: 7, durationMs: 1000 });
    const some = parseCommandLine(
      ['pod-network', 'cni', 'cni', '-o', 'json', '--runs', '3', '--markdown', 'x.md'],
      names,
    );
    expect(some).toMatchObject({ parts: ['cni', 'pod-network'], output: 'json', runs: 3, markdown: 'x.md' });
  });

  it.each([
    [['nat'], 'PART is "nat", expected one of: agent, cni, pod-network'],
    [['-o', 'yaml'], '--output is "yaml"'],
    [['--runs', '0'], '--runs is "0", expected an integer from 1 to 100'],
    [['--ms', '1.5'], '--ms is "1.5"'],
    [['--fast'], "Unknown option '--fast'"],
  ])('refuses %j', (args, message) => {
    expect(() => parseCommandLine(args, names)).toThrow(message);
  });
});

describe('runParts()', () => {
  const figure = { name: 'a', unit: 's', better: 'lower' as const, ours: [1] };
  const options = { runs: 1, durationMs: 1, print: () => undefined };

  it('goes on behind steps and parts that fail, and names them', async () => {
    const { rows, failures, interrupted } = await runParts({
      ...options,
      parts: ['bad', 'good'],
      signal: new AbortController().signal,
      load: (name) =>
        Promise.resolve({
          name,
          async run({ step }) {
            await step('first', () => Promise.reject(new RangeError('no luck')));
            await step('second', () => Promise.resolve([figure]));
            if (name === 'bad') throw new RangeError('no more');
          },
        }),
    });
    expect(rows.map(({ part, name }) => [part, name])).toEqual([
      ['bad', 'a'],
      ['good', 'a'],
    ]);
    expect(failures).toEqual([
      { part: 'bad', step: 'first', message: 'no luck' },
      { part: 'bad', message: 'no more' },
      { part: 'good', step: 'first', message: 'no luck' },
    ]);
    expect(interrupted).toBe(false);
  });

  it('stops between steps when it is interrupted, which is no failure', async () => {
    const controller = new AbortController();
    const cleaned: string[] = [];
    const { rows, failures, interrupted } = await runParts({
      ...options,
      parts: ['one', 'two'],
      signal: controller.signal,
      load: (name) =>
        Promise.resolve({
          name,
          async run({ step }) {
            try {
              await step('first', () => {
                controller.abort();
                return Promise.resolve([figure]);
              });
              await step('second', () => Promise.resolve([figure]));
            } finally {
              cleaned.push(name);
            }
          },
        }),
    });
    expect({ rows: rows.length, failures, interrupted, cleaned }).toEqual({
      ...{ rows: 1, failures: [], interrupted: true, cleaned: ['one'] },
    });
  });
});
