// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createManualClock } from '@weir/clock';
import { createLogger } from '@weir/telemetry';
import { createClusterFile } from './cluster-file.ts';
import { type ClusterView, createClusterView } from './cluster-view.ts';

const log = createLogger({ service: 'test', level: 'silent' });
const clock = createManualClock();
const node = { name: 'n2', addresses: ['192.0.2.2'], podRanges: ['10.2.0.0/24'] };

let directory: string, path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'weir-cluster-file-'));
  path = join(directory, 'cluster.json');
});
afterEach(() => rmSync(directory, { recursive: true }));

const emptyView = (): ClusterView => createClusterView({ clock, onChange: () => undefined });
const fileOf = (view: ClusterView) => createClusterFile({ path, view: () => view, clock, log });
async function load(): Promise<ClusterView> {
  const view = emptyView();
  await fileOf(view).load(view);
  return view;
}

describe('createClusterFile', () => {
  it('reads what it has written: nodes, pods with and without names, and where to continue', async () => {
    const view = emptyView();
    const endpoints = [
      ['10.2.0.7', { identity: 300, namespace: 'shop', pod: 'web' }],
      ['10.2.0.8', { identity: 301, namespace: '', pod: '' }],
    ] as const;
    view.fill({ epoch: 'e1', revision: 7 }, { nodes: [node], endpoints });
    const file = fileOf(view);
    file.save();
    await file.flush();
    const { cursor, nodes, endpoints: read } = await load();
    expect({ cursor, nodes: [...nodes.values()], endpoints: [...read] }).toEqual({
      ...{ cursor: { epoch: 'e1', revision: 7 }, nodes: [node], endpoints },
    });
  });

  it('takes over a file without names, and asks for everything again', async () => {
    const old = { format: 1, epoch: 'e1', revision: 7, nodes: [node], endpoints: [['10.2.0.7', 300]] };
    writeFileSync(path, JSON.stringify(old));
    const { cursor, nodes, endpoints } = await load();
    expect(cursor).toEqual({ epoch: 'e1', revision: 0 });
    expect([...nodes.keys()]).toEqual(['n2']);
    expect([...endpoints]).toEqual([['10.2.0.7', { identity: 300, namespace: '', pod: '' }]]);
  });

  it.each([
    ['of another format', { format: 9 }],
    ['with an endpoint that is none', { endpoints: [['10.2.0.7', 300, 'shop', 5]] }],
  ])('puts a file %s aside', async (_what, fields) => {
    const text = JSON.stringify({ format: 2, epoch: 'e1', revision: 7, nodes: [node], endpoints: [], ...fields });
    writeFileSync(path, text);
    expect((await load()).nodes.size).toBe(0);
    expect(readFileSync(`${path}.damaged`, 'utf8')).toBe(text);
  });
});
