// SPDX-License-Identifier: Apache-2.0
import type { Figure } from './figure.ts';
import type { MachineDescription } from './machine.ts';
import type { BenchFailure } from './run-parts.ts';
import { median, pairedRatio } from './statistics.ts';

/** A figure with everything that follows from its runs. */
export interface ReportRow {
  readonly part: string;
  readonly name: string;
  readonly unit: string;
  readonly better: 'higher' | 'lower';
  readonly ours: {
    readonly median: number;
    readonly min: number;
    readonly max: number;
    readonly runs: readonly number[];
  };
  readonly baseline?: { readonly name: string; readonly median: number; readonly runs: readonly number[] };
  /** Ours ÷ baseline. */
  readonly ratio?: number;
  readonly target?: Figure['target'];
  readonly reached?: boolean;
  readonly peer?: string;
}

/** Draws the conclusions from one figure. */
export function reportRow(part: string, figure: Figure): ReportRow {
  const { ours, baseline, target, better } = figure;
  const ratio = baseline === undefined ? undefined : pairedRatio(ours, baseline.values);
  const value = target?.kind === 'ratio' ? ratio : median(ours);
  const reached =
    target === undefined || value === undefined ? undefined : isReached({ value, target: target.value, better });
  return {
    part,
    name: figure.name,
    unit: figure.unit,
    better,
    ours: { median: median(ours), min: Math.min(...ours), max: Math.max(...ours), runs: ours },
    ...(baseline === undefined
      ? {}
      : { baseline: { name: baseline.name, median: median(baseline.values), runs: baseline.values } }),
    ...(ratio === undefined ? {} : { ratio }),
    ...(target === undefined ? {} : { target }),
    ...(reached === undefined ? {} : { reached }),
    ...(figure.peer === undefined ? {} : { peer: figure.peer }),
  };
}

function isReached({ value, target, better }: { value: number; target: number; better: Figure['better'] }): boolean {
  return better === 'higher' ? value >= target : value <= target;
}

/** All that one run of the benchmarks has found, and on what. */
export interface BenchReport {
  /** When it began, ISO 8601. */
  readonly date: string;
  readonly machine: MachineDescription;
  readonly settings: { readonly runs: number; readonly durationMs: number };
  readonly rows: readonly ReportRow[];
  readonly failures: readonly BenchFailure[];
}

/** Machine and method in two sentences. */
export function describeRun({ machine, settings }: Pick<BenchReport, 'machine' | 'settings'>): string {
  const { cpu, cpus, memoryGib, kernel, distribution, node, loadAverage, revision } = machine;
  const system = `Linux ${kernel}, ${distribution}, Node.js ${node}`;
  return [
    `${cpus} × ${cpu}, ${memoryGib} GiB, ${system}; Weir at ${revision}; load average ${loadAverage.toFixed(1)} at the start.`,
    `Medians of ${settings.runs} runs, turn by turn with the baseline; paths and servers ${settings.durationMs} ms a run.`,
  ].join('\n');
}

const headings = ['part', 'figure', 'unit', 'ours', 'min–max', 'baseline', 'ratio', 'target', '', 'peer'];
const rightAligned = new Set(['ours', 'baseline', 'ratio', 'target']);

/** All rows as one table for people, every column as wide as it must be. */
export function reportTable(rows: readonly ReportRow[]): string {
  const lines = [headings, ...rows.map((row) => [row.part, row.name, row.unit, ...valueCells(row)])];
  const widths = headings.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  const render = (line: readonly string[]): string =>
    line
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return rightAligned.has(headings[column] ?? '') ? cell.padStart(width) : cell.padEnd(width);
      })
      .join('  ')
      .trimEnd();
  return lines.map((line) => `${render(line)}\n`).join('');
}

/** From our median to the peer's figure, as people read them. */
export function valueCells(row: ReportRow): string[] {
  const { ours, baseline, target } = row;
  const sign = row.better === 'higher' ? '≥' : '≤';
  return [
    short(ours.median),
    `${short(ours.min)}–${short(ours.max)}`,
    baseline === undefined ? '' : `${baseline.name} ${short(baseline.median)}`,
    row.ratio === undefined ? '' : row.ratio.toFixed(2),
    target === undefined
      ? ''
      : `${sign} ${target.kind === 'ratio' ? `${target.value.toFixed(2)} ×` : short(target.value)}`,
    row.reached === undefined ? ' ' : row.reached ? '✓' : '✗',
    row.peer ?? '',
  ];
}

/** Three significant digits, which is more than most benchmarks are worth. */
function short(value: number): string {
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value) || 1)));
  return value.toFixed(Math.min(digits, 3));
}
