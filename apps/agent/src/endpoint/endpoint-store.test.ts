// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EndpointRecord } from './endpoint-record.ts';
import { createEndpointStore } from './endpoint-store.ts';

const record: EndpointRecord = {
  id: 7,
  containerId: 'c1',
  ifName: 'eth0',
  network: 'weir',
  netns: '/run/netns/a',
  namespace: 'default',
  pod: 'xwing',
  labels: { org: 'alliance' },
  ipv4: '10.0.0.2',
  ipv6: 'fd00::2',
  mac: '02:00:00:00:00:01',
  hostInterface: 'weir7',
  hostIfindex: 12,
  mtu: 1500,
  createdMs: 1,
};

describe('createEndpointStore()', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'weir-endpoints-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  it('loads what was saved and not what was removed', async () => {
    const store = createEndpointStore(directory);
    await store.save(record);
    const relabelled = { ...record, id: 9, identity: { id: 1234, labels: 'k8s:app=a;' } };
    await store.save(relabelled);
    await store.save({ ...record, id: 8, labels: {} });
    await store.remove(8);
    await store.remove(10);
    expect(await createEndpointStore(directory).load()).toEqual({ records: [record, relabelled], problems: [] });
  });

  it('removes a file that was not finished', async () => {
    await writeFile(join(directory, '7.json.new'), '{"version":1,"id"');
    await writeFile(join(directory, 'notes'), '');
    expect(await createEndpointStore(directory).load()).toEqual({ records: [], problems: [] });
    expect(await readdir(directory)).toEqual(['notes']);
  });

  it.each([
    ['7.json', '{"version":1,', 'is not JSON'],
    ['7.json', '{"version":2}', 'has the version 2; expected 1'],
    ['7.json', JSON.stringify({ version: 1, ...record, mtu: '1500' }), 'has mtu "1500"; expected a number'],
    ['7.json', JSON.stringify({ version: 1, ...record, labels: { a: 1 } }), 'has labels that are not text'],
    ['7.json', JSON.stringify({ version: 1, ...record, identity: { id: '5' } }), 'has identity {"id":"5"}; expected'],
    ['6.json', JSON.stringify({ version: 1, ...record }), 'is that of endpoint 7'],
  ])('reports a broken %s, reads the others and leaves it as it is', async (name, text, problem) => {
    await createEndpointStore(directory).save({ ...record, id: 9 });
    await writeFile(join(directory, name), text);
    const { records, problems } = await createEndpointStore(directory).load();
    expect(records.map(({ id }) => id)).toEqual([9]);
    expect(problems.map(({ id, error }) => `${id} ${error.code} ${error.message}`)).toEqual([
      expect.stringContaining(
        `${Number.parseInt(name)} CORRUPT_STATE The endpoint file "${join(directory, name)}" ${problem}`,
      ),
    ]);
    expect((await readdir(directory)).sort()).toEqual([name, '9.json'].sort());
  });
});
