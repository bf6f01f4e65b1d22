// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { formatCidr, parseCidr } from '@weir/model';
import { createClusterRanges, type RangeChanges } from './cluster-ranges.ts';

const other = { name: 'n2', addresses: ['192.0.2.2', '10.2.0.1'], podRanges: ['10.2.0.0/24'] };
const self = { name: 'n1', addresses: ['192.0.2.1'], podRanges: ['10.1.0.0/24'] };
const pod = { identity: 300, namespace: 'default', pod: 'web' };
const none = { nodes: [], endpoints: [], deletedNodes: [], deletedEndpoints: [] };

const ranges = () =>
  createClusterRanges({
    self: 'n1',
    podRanges: [parseCidr('10.1.0.0/24')],
    identityOf: ({ labels }) => (labels ? 33 : 6),
  });
const text = ({ upserted, removed }: RangeChanges) => ({
  upserted: upserted.map(({ range, identity }) => `${formatCidr(range)} ${identity}`),
  removed: removed.map(formatCidr),
});

describe('createClusterRanges()', () => {
  it('knows other nodes as remote-node, their pods by their identity and the rest of their ranges as unmanaged', () => {
    expect(text(ranges()({ ...none, nodes: [other], endpoints: [['10.2.0.7', pod]] }))).toEqual({
      upserted: ['192.0.2.2/32 6', '10.2.0.1/32 6', '10.2.0.0/24 3', '10.2.0.7/32 300'],
      removed: [],
    });
  });

  it('knows a node as whoever says so', () => {
    const { upserted } = text(ranges()({ ...none, nodes: [{ ...other, labels: { pool: 'db' } }] }));
    expect(upserted).toEqual(['192.0.2.2/32 33', '10.2.0.1/32 33', '10.2.0.0/24 3']);
  });

  it('leaves alone what this node has told itself', () => {
    const changes = { ...none, nodes: [self], endpoints: [['10.1.0.7', pod] as const], deletedEndpoints: ['10.1.0.8'] };
    expect(text(ranges()(changes))).toEqual({ upserted: [], removed: [] });
  });

  it('takes away what a node had before and has no more', () => {
    const toRanges = ranges();
    toRanges({ ...none, nodes: [other] });
    const moved = { ...other, addresses: ['192.0.2.3', '10.2.0.1'] };
    expect(text(toRanges({ ...none, nodes: [moved] })).removed).toEqual(['192.0.2.2/32']);
    expect(text(toRanges({ ...none, deletedNodes: [moved], deletedEndpoints: ['10.2.0.7'] }))).toEqual({
      upserted: [],
      removed: ['192.0.2.3/32', '10.2.0.1/32', '10.2.0.0/24', '10.2.0.7/32'],
    });
  });
});
