// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { WeirError } from '@weir/errors';
import {
  cniCall,
  createTestAgent,
  createTestNode,
  silent,
  type TestAgent,
  type TestNode,
} from '../testing/test-agent.ts';
import { createCniHandler } from './cni-handler.ts';
import type { CniHandler } from './cni-server.ts';
import { workOffDeletionNotes } from './deletion-notes.ts';

let node: TestNode;
let agent: TestAgent;
let handle: CniHandler;
beforeEach(() => {
  node = createTestNode();
  agent = createTestAgent(node);
  const { manager, table, pools } = agent;
  handle = createCniHandler({ manager, table, podNetwork: node.podNetwork, pools });
});
afterEach(() => node.remove());

const ids = (): number[] => agent.table.list().map(({ record }) => record.id);

describe('ADD and DEL', () => {
  it('give the same result twice, and nothing', async () => {
    const result = await handle(cniCall('a'));
    expect(result).toMatchObject({
      cniVersion: '1.1.0',
      interfaces: [
        { name: 'weir1', mac: 'ee:ee:ee:ee:ee:ee' },
        { name: 'eth0', sandbox: '/run/netns/a' },
      ],
      ips: [{ address: '10.0.0.2/32', gateway: '10.0.0.1' }, { address: 'fd00::2/128' }],
    });
    expect(await handle(cniCall('a'))).toEqual(result);
    expect(await handle(cniCall('a', { command: 'DEL' }))).toBeUndefined();
    expect(await handle(cniCall('a', { command: 'DEL' }))).toBeUndefined();
    expect(ids()).toEqual([]);
  });
});

describe('ADD', () => {
  it('returns when others are told of the pod', async () => {
    const told: object[] = [];
    const { manager, table, pools } = agent;
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const spread = (pod: object): Promise<void> => (told.push(pod), promise);
    handle = createCniHandler({ manager, table, podNetwork: node.podNetwork, pools, spread });
    let isBack = false;
    const add = handle(cniCall('a')).then(() => (isBack = true));
    while (told.length === 0) await new Promise(setImmediate);
    await new Promise(setImmediate);
    expect([told, isBack]).toEqual([[{ identity: 256, addresses: ['10.0.0.2', 'fd00::2'] }], false]);
    resolve(undefined);
    await add;
    expect(isBack).toBe(true);
  });
});

describe('CHECK', () => {
  const check = () => handle(cniCall('a', { command: 'CHECK' }));
  const having = (...addresses: string[]) => (node.podNetwork.addressesOf = async () => addresses);

  it('compares the addresses in the pod with those that it was given', async () => {
    await handle(cniCall('a'));
    having('10.0.0.2/32', 'fd00::2/128', 'fe80::1/64');
    expect(await check()).toBeUndefined();
    having('10.0.0.2/32');
    await expect(check()).rejects.toThrow(
      'the interface "eth0" of container "c-a" has 10.0.0.2/32; expected fd00::2/128',
    );
    having();
    await expect(check()).rejects.toThrow('has no address; expected 10.0.0.2/32');
  });

  it('fails for what is not there, and for what is not ready', async () => {
    await expect(check()).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await handle(cniCall('a'));
    node.faults.failCall(1);
    await handle(cniCall('a', { command: 'DEL' })).catch(() => undefined);
    await expect(check()).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('disconnecting'),
    });
  });
});

describe('GC', () => {
  const collect = (network: string, ...pods: string[]) =>
    handle(
      cniCall('', {
        ...{ command: 'GC', network },
        validAttachments: pods.map((pod) => ({ containerId: `c-${pod}`, ifName: 'eth0' })),
      }),
    );

  it('removes what its network no longer wants, and leaves other networks alone', async () => {
    for (const pod of ['a', 'b']) await handle(cniCall(pod));
    await handle(cniCall('c', { network: 'other' }));
    await collect('weir', 'a');
    expect(ids()).toEqual([1, 3]);
    await collect('nobody');
    expect(ids()).toEqual([1, 3]);
  });

  it('goes on after a failure, and reports it', async () => {
    for (const pod of ['a', 'b', 'c']) await handle(cniCall(pod));
    node.faults.failCall(1);
    await expect(collect('weir', 'c')).rejects.toThrow('1 of 2 attachments could not be removed: Injected fault');
    expect(ids()).toHaveLength(2);
  });
});

describe('STATUS', () => {
  it('succeeds while there are addresses, and says 50 when there are none', async () => {
    const status = () => handle(cniCall('', { command: 'STATUS' }));
    expect(await status()).toBeUndefined();
    const { ipv4 } = agent.pools;
    for (let count = 0; count < ipv4.capacity; count++) ipv4.allocate();
    await expect(status()).rejects.toMatchObject({
      code: 'RESOURCE_EXHAUSTED',
      message: 'All 253 addresses for pods of this node are in use',
      details: { cniCode: 50 },
    });
  });
});

describe('workOffDeletionNotes()', () => {
  const note = (name: string, text: string) => writeFileSync(join(node.directory, 'notes', name), text);
  const del = (pod: string) => JSON.stringify({ ...cniCall(pod, { command: 'DEL' }), config: { cniVersion: '1.0.0' } });
  const workOff = (handler: CniHandler = handle) =>
    workOffDeletionNotes({ directory: join(node.directory, 'notes'), handler, logger: silent });
  beforeEach(() => mkdirSync(join(node.directory, 'notes')));
  const left = () => readdirSync(join(node.directory, 'notes')).sort();

  it('removes what the notes name, and the notes', async () => {
    await handle(cniCall('a'));
    await handle(cniCall('b'));
    note('1.json', del('a'));
    note('2.json', del('gone'));
    await workOff();
    expect([ids(), left()]).toEqual([[2], []]);
  });

  it('leaves notes that cannot be read or done, and whatever is no note', async () => {
    note('1.json', '{');
    note('2.json', JSON.stringify({ command: 'DEL' }));
    note('3.json', del('a'));
    note('half-written', del('a'));
    await workOff(() => Promise.reject(new WeirError('UNAVAILABLE', 'Not now')));
    expect(left()).toEqual(['1.json', '2.json', '3.json', 'half-written']);
    await workOff();
    expect(left()).toEqual(['1.json', '2.json', 'half-written']);
  });

  it('never adds, whatever a note says', async () => {
    note('1.json', JSON.stringify({ ...cniCall('a'), args: '', config: { cniVersion: '1.0.0' } }));
    await workOff();
    expect(ids()).toEqual([]);
  });
});
