// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { interleaved } from './interleaved.ts';
import { reportRow, reportTable } from './report.ts';
import { median, pairedRatio, quantile } from './statistics.ts';

describe('statistics', () => {
  it('median() and quantile() do not depend on order, and interpolate', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(quantile([10, 20, 30, 40, 50], 0.9)).toBeCloseTo(46);
    expect(() => median([])).toThrow('at least one value');
  });

  it('pairedRatio() is not moved by a run in which the whole machine was slow', () => {
    expect(pairedRatio([100, 10, 102], [200, 20, 204])).toBe(0.5);
    expect(() => pairedRatio([1], [1, 2])).toThrow('runs are pairs');
  });
});

describe('interleaved()', () => {
  it('warms up once, then takes turns in alternating order', async () => {
    const calls: string[] = [];
    const measure = (name: string) => () => Promise.resolve(calls.push(name));
    const { signal } = new AbortController();
    const settings = { runs: 3, signal, say: () => undefined };
    const values = await interleaved({ ...settings, variants: { a: measure('a'), b: measure('b') } });
    expect(calls.join('')).toBe('ababbaab');
    expect(values).toEqual({ a: [3, 6, 7], b: [4, 5, 8] });
  });
});

describe('reportRow()', () => {
  const figure = {
    name: 'TCP_RR',
    unit: '1/s',
    better: 'higher' as const,
    ours: [90, 110, 100],
    baseline: { name: 'plain', values: [100, 100, 100] },
    target: { kind: 'ratio' as const, value: 1 },
    peer: '0.95 ×',
  };

  it('compares with the baseline in the direction that is better', () => {
    expect(reportRow('path', figure)).toMatchObject({
      ratio: 1,
      reached: true,
      ours: { median: 100, min: 90, max: 110 },
    });
    expect(reportRow('path', { ...figure, target: { kind: 'ratio', value: 1.01 } }).reached).toBe(false);
    expect(reportRow('path', { ...figure, better: 'lower', target: { kind: 'value', value: 99 } }).reached).toBe(false);
    expect(reportRow('path', { ...figure, better: 'lower', target: { kind: 'value', value: 101 } }).reached).toBe(true);
  });

  it('becomes a line of the table', () => {
    const bare = { name: 'alone', unit: '1/s', better: 'higher' as const, ours: [0.01234] };
    const table = reportTable([reportRow('path', figure), reportRow('path', bare)]);
    expect(table).toBe(
      [
        'part  figure  unit   ours  min–max       baseline  ratio    target     peer',
        'path  TCP_RR  1/s     100  90.0–110     plain 100   1.00  ≥ 1.00 ×  ✓  0.95 ×',
        'path  alone   1/s   0.012  0.012–0.012',
        '',
      ].join('\n'),
    );
  });
});
