// SPDX-License-Identifier: Apache-2.0
import { beforeEach, describe, expect, it } from '@jest/globals';
import { createManualClock, type ManualClock } from '@weir/clock';
import { weir } from '@weir/proto';
import { type ClusterChanges, type ClusterView, createClusterView } from './cluster-view.ts';

let told: Partial<ClusterChanges>[];
let clock: ManualClock;
let view: ClusterView;
beforeEach(() => {
  told = [];
  clock = createManualClock();
  view = createClusterView({
    clock,
    onChange: (changes) => told.push(Object.fromEntries(Object.entries(changes).filter(([, each]) => each.length > 0))),
  });
});

const node = (name: string, address = '192.0.2.1') => ({ name, addresses: [address], podRanges: [] });
const response = (fields: weir.identity.v1.WatchClusterResponse.$Properties): weir.identity.v1.WatchClusterResponse =>
  Object.assign(new weir.identity.v1.WatchClusterResponse(), { epoch: 'e1', revision: 1, synced: true }, fields);
const names = { namespace: 'default', pod: 'web' };
const endpoint = (address: string, identity: number, pod = 'web') => ({ address, identity, ...names, pod });

const first = (): void =>
  view.apply(response({ snapshot: true, nodes: [node('a'), node('b')], endpoints: [endpoint('10.0.0.2', 300)] }));

describe('createClusterView()', () => {
  it('tells what is new, once', () => {
    first();
    view.apply(response({ revision: 2, nodes: [node('a')], endpoints: [endpoint('10.0.0.2', 301)] }));
    expect(told).toEqual([
      { nodes: [node('a'), node('b')], endpoints: [['10.0.0.2', { identity: 300, ...names }]] },
      { endpoints: [['10.0.0.2', { identity: 301, ...names }]] },
    ]);
    expect(view.cursor).toMatchObject({ epoch: 'e1', revision: 2 });
  });

  it('tells of another pod with the same identity', () => {
    first();
    view.apply(response({ revision: 2, endpoints: [endpoint('10.0.0.2', 300, 'web-2')] }));
    expect(told.at(-1)).toEqual({ endpoints: [['10.0.0.2', { identity: 300, ...names, pod: 'web-2' }]] });
  });

  it('tells of a node again when its pods call their ports something else', () => {
    const ports = [{ name: 'http', protocol: 6, port: 80 }];
    const named = (identity: number) => ({ ...node('a'), namedPorts: [{ identity, ports }] });
    for (const [revision, identity] of [
      [1, 300],
      [2, 300],
      [3, 301],
    ] as const)
      // prettier-ignore
      view.apply(response({ revision, nodes: [named(identity)] }));
    expect(told.map(({ nodes }) => nodes?.[0]?.namedPorts)).toEqual([[[300, ports]], [[301, ports]]]);
  });

  it('tells what is gone, with what it was', () => {
    first();
    view.apply(response({ revision: 2, deletedNodes: ['b', 'nobody'], deletedEndpoints: ['10.0.0.2'] }));
    expect(told.at(-1)).toEqual({ deletedNodes: [node('b')], deletedEndpoints: ['10.0.0.2'] });
  });

  it('takes away what a snapshot of the same history leaves out, when it is whole', () => {
    first();
    view.apply(response({ revision: 9, snapshot: true, synced: false, nodes: [node('a')] }));
    expect([...view.nodes.keys()]).toEqual(['a', 'b']);
    expect(view.cursor.revision).toBe(1);
    view.apply(response({ revision: 10 }));
    expect(told.at(-1)).toEqual({ deletedNodes: [node('b')], deletedEndpoints: ['10.0.0.2'] });
  });

  it('gives a directory that has begun anew time to hear of everybody again', async () => {
    first();
    view.apply(response({ epoch: 'e2', snapshot: true, nodes: [node('a')] }));
    await clock.advance(59_000);
    view.apply(response({ epoch: 'e2', revision: 2, endpoints: [endpoint('10.0.0.2', 300)] }));
    expect(told).toHaveLength(1);
    await clock.advance(1_000);
    expect(told.slice(1)).toEqual([{ deletedNodes: [node('b')] }]);
  });

  it('does not wait longer for those who are missing when another directory begins anew meanwhile', async () => {
    first();
    view.apply(response({ epoch: 'e2', snapshot: true, nodes: [node('a')] }));
    await clock.advance(40_000);
    view.apply(response({ epoch: 'e3', snapshot: true, nodes: [] }));
    await clock.advance(20_000);
    expect(told.slice(1)).toEqual([{ deletedNodes: [node('b')], deletedEndpoints: ['10.0.0.2'] }]);
    await clock.advance(40_000);
    expect(told.slice(2)).toEqual([{ deletedNodes: [node('a')] }]);
  });

  it('forgets half a snapshot when the stream breaks', () => {
    first();
    view.apply(response({ revision: 9, snapshot: true, synced: false, nodes: [node('a')] }));
    view.interrupt();
    view.apply(response({ revision: 10, nodes: [node('c')] }));
    expect([...view.nodes.keys()]).toEqual(['a', 'b', 'c']);
  });
});
