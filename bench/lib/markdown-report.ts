// SPDX-License-Identifier: Apache-2.0
import { type BenchReport, describeRun, type ReportRow, valueCells } from './report.ts';

const beginMark = '<!-- Measured: written by make bench ARGS="--markdown …" -->';
const endMark = '<!-- End of what was measured -->';

const headings = ['figure', 'Weir', 'min–max', 'baseline', 'ratio', 'target', '', 'Cilium'];
const rightAligned = new Set(['Weir', 'baseline', 'ratio', 'target']);

/** Everything that was measured, part by part, for a page. Formatted as Prettier leaves it. */
export function markdownReport(report: BenchReport): string {
  const parts = [...new Set(report.rows.map(({ part }) => part))];
  const tables = parts.map((part) => {
    const rows = report.rows.filter((row) => row.part === part);
    return `### ${part}\n\n${markdownTable(rows)}`;
  });
  const date = report.date.replace(/T(\d\d:\d\d).*/, ' $1 UTC');
  return [`${date}. ${describeRun(report)}`, ...tables, ...failures(report)].join('\n\n');
}

function failures(report: BenchReport): string[] {
  if (report.failures.length === 0) return [];
  const lines = report.failures.map(({ part, step, message }) => `- ${step ?? part}: ${message.split('\n')[0]}`);
  return [`Not measured:\n\n${lines.join('\n')}`];
}

function markdownTable(rows: readonly ReportRow[]): string {
  const escaped = (cells: readonly string[]): string[] => cells.map((cell) => cell.replaceAll('|', '\\|'));
  const body = rows.map((row) => escaped([`${row.name} (${row.unit})`, ...valueCells(row).map((cell) => cell.trim())]));
  const widths = headings.map((heading, column) =>
    Math.max(3, heading.length, ...body.map((cells) => cells[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]): string => {
    const padded = cells.map((cell, column) => {
      const width = widths[column] ?? 0;
      return rightAligned.has(headings[column] ?? '') ? cell.padStart(width) : cell.padEnd(width);
    });
    return `| ${padded.join(' | ')} |`;
  };
  const rule = headings.map((heading, column) => {
    const width = widths[column] ?? 0;
    return rightAligned.has(heading) ? `${'-'.repeat(width - 1)}:` : '-'.repeat(width);
  });
  return [line(headings), line(rule), ...body.map(line)].join('\n');
}

/** Puts a report between the marks of a page, or with marks at its end when it has none. */
export function putMarkdown(page: string, report: string): string {
  const section = `${beginMark}\n\n${report}\n\n${endMark}`;
  const begin = page.indexOf(beginMark);
  const end = page.indexOf(endMark);
  if (begin >= 0 && end > begin) return page.slice(0, begin) + section + page.slice(end + endMark.length);
  return `${page}${page === '' || page.endsWith('\n\n') ? '' : '\n'}${section}\n`;
}
