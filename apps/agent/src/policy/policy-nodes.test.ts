// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { formatCidr } from '@weir/model';
import { parsePolicyFiles, type Policy } from '@weir/policy';
import { createNodeIdentities, type NodeIdentities } from '../identity/node-identities.ts';
import {
  createTestAgent,
  createTestNode,
  podSpec,
  silent,
  type TestAgent,
  type TestNode,
} from '../testing/test-agent.ts';
import { createPolicyNodes } from './policy-nodes.ts';
import type { PolicyPrefixes } from './policy-prefixes.ts';

const other = (name: string, address: string, pool: string) => ({
  ...{ name, addresses: [address], podRanges: [], labels: { pool } },
});
const nodes = [other('n2', '192.0.2.2', 'db'), other('n3', '192.0.2.3', 'web')];

function policy(name: string, label: Readonly<Record<string, string>>): Policy {
  const document = {
    ...{ apiVersion: 'cilium.io/v2', kind: 'CiliumNetworkPolicy', metadata: { name } },
    spec: { endpointSelector: { matchLabels: { app: 'server' } }, ingress: [{ fromNodes: [{ matchLabels: label }] }] },
  };
  return parsePolicyFiles([{ name: 'p.json', content: JSON.stringify(document) }]).policies[0]!;
}

let node: TestNode;
let agent: TestAgent;
let identities: NodeIdentities;
let prefixes: PolicyPrefixes;
let renewed: number;
beforeEach(async () => {
  node = createTestNode();
  agent = createTestAgent(node);
  identities = createNodeIdentities();
  renewed = 0;
  const onRenewed = (): void => void renewed++;
  const { controller, ipcache } = agent;
  const parts = { prefixes: agent.prefixes, identities, ipcache, controller, logger: silent };
  prefixes = createPolicyNodes({ ...parts, others: () => nodes, onRenewed });
  await agent.manager.add(podSpec('server'));
});
afterEach(() => node.remove());

const apply = async (upsertPolicies: readonly Policy[], deletePolicies: readonly string[] = []): Promise<void> => {
  await agent.controller.commit(prefixes.include({ upsertPolicies, deletePolicies }));
  await prefixes.prune();
};
const peers = (): number[] => (node.datapath.policy(1)?.entries ?? []).map(({ peerIdentity }) => peerIdentity);
const knownAs = (): unknown[] =>
  node.datapath
    .ipcache()
    .map(({ address, length, identity }) => [formatCidr({ address, prefixLength: length }), identity] as const)
    .filter(([prefix]) => prefix.startsWith('192.'));

describe('a policy about labels of nodes', () => {
  const first = 2 ** 25;

  it('comes together with what the nodes are known as, and goes before it', async () => {
    const pool = policy('p', { pool: 'db' });
    await apply([pool]);
    expect(peers()).toEqual([first]);
    expect(knownAs()).toEqual([['192.0.2.2/32', first], ['192.0.2.3/32', first + 1]]); // prettier-ignore
    expect(renewed).toBe(1);
    await apply([], [pool.key]);
    expect(peers()).toEqual([]);
    expect(knownAs()).toEqual([['192.0.2.2/32', 6], ['192.0.2.3/32', 6]]); // prettier-ignore
    expect([...identities.all()]).toEqual([]);
  });

  it('follows when another one tells the nodes apart by something else', async () => {
    await apply([policy('p', { pool: 'db' })]);
    await apply([policy('q', { zone: 'a' })]);
    await apply([policy('p', { pool: 'web' })]);
    expect(peers()).toEqual([first + 1]);
  });
});
