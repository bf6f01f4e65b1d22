// SPDX-License-Identifier: Apache-2.0
// The module boundaries themselves: a rule that has silently stopped to work would be worse than none. Each forbidden
// import breaks one dimension and holds the others.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from '@jest/globals';

const forbidden = [
  { why: 'scope', file: 'apps/cli/src/x.ts', imports: '@weir/datapath-maps', says: 'tagged with "scope:cli"' },
  { why: 'layer', file: 'libs/telemetry/src/x.ts', imports: '@weir/model', says: 'tagged with "layer:util"' },
  { why: 'runtime', file: 'libs/policy/src/x.ts', imports: '@weir/clock', says: 'tagged with "runtime:pure"' },
  { why: 'an app', file: 'apps/agent/src/x.ts', imports: '@weir/l7-proxy', says: 'tagged with "scope:agent"' },
  {
    why: 'a path',
    file: 'libs/policy/src/x.ts',
    imports: '../../model/src/index.ts',
    says: 'relative or absolute path',
  },
  { why: 'a deep import', file: 'libs/policy/src/x.ts', imports: '@weir/model/src/label.ts', says: 'by its name' },
  { why: 'Node in pure code', file: 'libs/policy/src/x.ts', imports: 'node:fs', says: 'runtime:pure' },
  { why: 'a tool in code', file: 'apps/identity-allocator/src/x.ts', imports: '@weir/lab', says: 'can only depend on' },
];
const allowed = [
  { file: 'apps/agent/src/x.ts', imports: '@weir/datapath-loader' },
  { file: 'apps/cli/src/x.ts', imports: '@weir/rpc' },
  { file: 'libs/datapath/loader/src/x.ts', imports: '@weir/bpf-loader-node' },
  { file: 'libs/policy/src/x.ts', imports: '@weir/model' },
  { file: 'libs/policy/src/x.test.ts', imports: 'node:fs' },
  { file: 'libs/policy/src/x.test.ts', imports: '@weir/clock' },
  { file: 'tools/lab/src/x.ts', imports: '@weir/netlink' },
];

describe('module boundaries', () => {
  const answers = new Map<string, string[]>();
  const key = ({ file, imports }: { file: string; imports: string }): string => `${file} → ${imports}`;

  beforeAll(() => {
    const cases = [...forbidden, ...allowed];
    const script = fileURLToPath(new URL('lint-imports.ts', import.meta.url));
    const env = { ...process.env, NODE_OPTIONS: '' };
    const run = spawnSync(process.execPath, [script], { input: JSON.stringify(cases), encoding: 'utf8', env });
    expect(run).toMatchObject({ status: 0 });
    (JSON.parse(run.stdout) as string[][]).forEach((messages, index) => answers.set(key(cases[index]!), messages));
  });

  it.each(forbidden)('refuse $why: $file may not import $imports', (one) => {
    expect(answers.get(key(one))).toEqual([expect.stringContaining(one.says)]);
  });

  it.each(allowed)('let $file import $imports', (one) => {
    expect(answers.get(key(one))).toEqual([]);
  });
});
