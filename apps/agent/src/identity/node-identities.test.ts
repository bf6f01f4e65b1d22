// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { cidrOfAddress, formatLabelSet, parseIpAddress } from '@weir/model';
import { parsePolicyFiles, type Policy } from '@weir/policy';
import { createNodeIdentities } from './node-identities.ts';

function policy(name: string, ...keys: readonly string[]): Policy {
  const fromNodes = keys.map((key) => ({ matchLabels: { [key]: 'x' } }));
  const document = {
    ...{ apiVersion: 'cilium.io/v2', kind: 'CiliumNetworkPolicy', metadata: { name } },
    spec: { endpointSelector: {}, ingress: [keys.length === 0 ? { fromEntities: ['remote-node'] } : { fromNodes }] },
  };
  return parsePolicyFiles([{ name: 'p.json', content: JSON.stringify(document) }]).policies[0]!;
}

const node = (address: string, labels?: Readonly<Record<string, string>>) => ({
  addresses: [address],
  ...(labels && { labels }),
});
const [db, db2, web, bare] = [
  node('192.0.2.1', { pool: 'db', host: 'a' }),
  node('192.0.2.2', { pool: 'db', host: 'b' }),
  node('192.0.2.3', { pool: 'web' }),
  node('192.0.2.4'),
];
const first = 2 ** 25;

describe('createNodeIdentities()', () => {
  it('knows every node as remote-node while no policy tells them apart', () => {
    const identities = createNodeIdentities();
    expect(identities.use({ upsert: [policy('p')], delete: [] })).toBe(false);
    expect([db, web, bare].map(identities.numberOf)).toEqual([6, 6, 6]);
    expect(identities.takeNew()).toEqual([]);
  });

  it('gives one number to nodes that are the same to all policies', () => {
    const identities = createNodeIdentities();
    expect(identities.use({ upsert: [policy('p', 'pool')], delete: [] })).toBe(true);
    expect([db, db2, web, bare].map(identities.numberOf)).toEqual([first, first, first + 1, 6]);
    const told = identities.takeNew().map(({ id, labels }) => [id, formatLabelSet(labels)]);
    expect(told).toEqual([
      [first, ['node:pool=db', 'reserved:remote-node']],
      [first + 1, ['node:pool=web', 'reserved:remote-node']],
    ]);
    expect(identities.takeNew()).toEqual([]);
  });

  it('follows what policies look at, and knows what nobody is any more', () => {
    const identities = createNodeIdentities();
    identities.use({ upsert: [policy('p', 'pool')], delete: [] });
    [db, db2].map(identities.numberOf);
    expect(identities.use({ upsert: [policy('q', 'host', 'pool')], delete: [] })).toBe(true);
    expect([db, db2].map(identities.numberOf)).toEqual([first + 1, first + 2]);
    expect(identities.unused([db, db2])).toEqual([first]);
    identities.forget([first]);
    expect(identities.labelsOf(first)).toBeUndefined();
    expect(identities.use({ upsert: [], delete: [policy('p').key] })).toBe(false);
    expect(identities.use({ upsert: [policy('q')], delete: [] })).toBe(true);
    expect([db, db2].map(identities.numberOf)).toEqual([6, 6]);
    expect(identities.unused([db, db2])).toEqual([first + 1, first + 2]);
  });

  it('gives nodes the numbers that they had under an agent before, and nobody else', () => {
    const identities = createNodeIdentities();
    const found = [
      { range: cidrOfAddress(parseIpAddress('192.0.2.3')), identity: first + 7 },
      { range: cidrOfAddress(parseIpAddress('192.0.2.1')), identity: first },
      { range: cidrOfAddress(parseIpAddress('192.0.2.9')), identity: 300 },
    ];
    identities.adopt(found);
    identities.use({ upsert: [policy('p', 'pool')], delete: [] });
    const batch = node('192.0.2.5', { pool: 'batch' });
    expect([batch, web, db2, db].map(identities.numberOf)).toEqual([first + 1, first + 7, first + 2, first + 2]);
  });
});
