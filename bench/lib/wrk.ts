// SPDX-License-Identifier: Apache-2.0
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { WeirError } from '@weir/errors';

const run = promisify(execFile);

/** One run of wrk, the HTTP client. */
export interface WrkRun {
  readonly url: string;
  readonly connections: number;
  /** Rounded to seconds, of which it takes one at least. */
  readonly durationMs: number;
  readonly cpu: number;
  /** Network namespace as `ip netns` names it; this process' own unless told. */
  readonly netns?: string;
  /** A new connection for each request. */
  readonly close?: boolean;
}

/** What came out. */
export interface WrkResult {
  readonly perSecond: number;
  readonly requests: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

const unitsUs: Readonly<Record<string, number>> = { us: 1, ms: 1_000, s: 1_000_000, m: 60_000_000 };

const find = (output: string, pattern: RegExp): RegExpExecArray => {
  const match = pattern.exec(output);
  if (match === null) throw new WeirError('INTERNAL', `wrk printed no ${String(pattern)}: ${output}`);
  return match;
};

const latencyUs = (output: string, percentile: number): number => {
  const [, value, unit] = find(output, new RegExp(`^ +${percentile}% +([\\d.]+)(us|ms|s|m)$`, 'm'));
  return Number(value) * (unitsUs[unit ?? ''] ?? Number.NaN);
};

/** Runs wrk with one thread. FAILED_PRECONDITION when a request failed or was not answered with 2xx. */
export async function wrk({ url, connections, durationMs, cpu, netns, close }: WrkRun): Promise<WrkResult> {
  const seconds = Math.max(1, Math.round(durationMs / 1000));
  const place = netns === undefined ? [] : ['ip', 'netns', 'exec', netns];
  const header = close === true ? ['-H', 'Connection: close'] : [];
  const client = ['wrk', '-t', '1', '-c', String(connections), '-d', `${seconds}s`, '--latency', ...header, url];
  const [file = '', ...args] = [...place, 'taskset', '-c', String(cpu), ...client];
  const { stdout } = await run(file, args);
  const trouble = /Socket errors.*|Non-2xx.*/.exec(stdout)?.[0];
  if (trouble !== undefined) throw new WeirError('FAILED_PRECONDITION', `Requests to ${url} failed: ${trouble.trim()}`);
  return {
    perSecond: Number(find(stdout, /Requests\/sec: +([\d.]+)/)[1]),
    requests: Number(find(stdout, /(\d+) requests in/)[1]),
    p50Us: latencyUs(stdout, 50),
    p99Us: latencyUs(stdout, 99),
  };
}
