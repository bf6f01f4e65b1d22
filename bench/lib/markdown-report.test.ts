// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { check } from 'prettier';
import type { Figure } from './figure.ts';
import { markdownReport, putMarkdown } from './markdown-report.ts';
import { type BenchReport, reportRow } from './report.ts';

const figure: Figure = {
  name: 'TCP_RR, policy on',
  unit: '1/s',
  better: 'higher',
  ours: [90, 110, 100],
  baseline: { name: 'plain veth', values: [100, 100, 100] },
  target: { kind: 'ratio', value: 1 },
  peer: '0.95',
};

const report: BenchReport = {
  date: '2026-11-27T12:31:07.123Z',
  machine: {
    ...{ cpu: 'Some CPU', cpus: 2, memoryGib: 24, kernel: '6.18', distribution: 'Debian', node: 'v24' },
    ...{ loadAverage: 0.25, revision: 'abc1234' },
  },
  settings: { runs: 7, durationMs: 1000 },
  rows: [reportRow('path', figure), reportRow('other', { ...figure, name: 'a|b', unit: '%', ours: [1, 2, 3] })],
  failures: [{ part: 'path', step: '4 streams', message: 'no luck\nat all' }],
};

describe('markdownReport()', () => {
  it('has a table for each part, the machine, and what could not be measured', () => {
    const text = markdownReport(report);
    expect(text).toContain(
      '2026-11-27 12:31 UTC. 2 × Some CPU, 24 GiB, Linux 6.18, Debian, Node.js v24; Weir at abc1234',
    );
    expect(text).toContain('load average 0.3');
    expect(text).toContain('### path\n\n| figure');
    expect(text).toMatch(
      /\| TCP_RR, policy on \(1\/s\) \| +100 \| 90.0–110 +\| plain veth 100 \| +1.00 \| ≥ 1.00 × \| ✓ +\| 0.95 +\|/,
    );
    expect(text).toContain('### other');
    expect(text).toContain('a\\|b (%)');
    expect(text).toContain('- 4 streams: no luck');
  });

  it('is formatted as the linter wants it', async () => {
    const page = putMarkdown('# Benchmarks\n', markdownReport(report));
    expect(await check(page, { parser: 'markdown', printWidth: 120 })).toBe(true);
  });
});

describe('putMarkdown()', () => {
  it('replaces what it wrote before, and nothing else', () => {
    const first = putMarkdown('# Benchmarks\n\nBefore.\n', 'old');
    const second = putMarkdown(`${first}\nAfter.\n`, 'new');
    expect(second).toMatch(/^# Benchmarks\n\nBefore\.\n\n<!--.*-->\n\nnew\n\n<!--.*-->\n\nAfter\.\n$/);
    expect(putMarkdown('', 'new')).toMatch(/^<!--.*-->\n\nnew\n\n<!--.*-->\n$/);
  });
});
