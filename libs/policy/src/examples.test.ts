// SPDX-License-Identifier: Apache-2.0
// The example policies do what their comments say.
import { readFileSync } from 'node:fs';
import { podLabels, protocolNumber, reservedIdentity } from '@weir/model';
import { createPolicyEngine } from './engine/policy-engine.ts';
import type { PolicyAnswer } from './engine/engine-types.ts';
import { parsePolicyFiles } from './parse-policy-files.ts';

const ships = {
  deathstar: ['empire', 'deathstar'],
  tiefighter: ['empire', 'tiefighter'],
  xwing: ['alliance', 'xwing'],
};
const identities = Object.values(ships).map(([org = '', kind = ''], index) => ({
  id: 1000 + index,
  labels: podLabels({ namespace: 'default', labels: { org, class: kind } }).labels,
}));
const [deathstar, tiefighter, xwing] = [1000, 1001, 1002];

function withExample(name: string): (peerIdentity: number, port?: number) => PolicyAnswer {
  const path = new URL(`../../../examples/star-wars/${name}`, import.meta.url);
  const { policies, problems, warnings } = parsePolicyFiles([{ name, content: readFileSync(path) }]);
  expect([...problems, ...warnings]).toEqual([]);
  expect(policies.map(({ key }) => key)).toEqual(['CiliumNetworkPolicy/default/rule1']);
  const engine = createPolicyEngine();
  engine.apply({ upsertPolicies: policies, upsertIdentities: identities, upsertSubjects: identities });
  expect(engine.subjectsOf('CiliumNetworkPolicy/default/rule1')).toEqual([deathstar]);
  return (peerIdentity, port = 80) =>
    engine.decide({ subject: deathstar, direction: 'ingress', peerIdentity, protocol: protocolNumber.TCP, port });
}

describe('examples/star-wars', () => {
  it('l3-l4-policy.yaml lets the Empire in on port 80, and nobody else', () => {
    const ask = withExample('l3-l4-policy.yaml');
    expect(ask(tiefighter).verdict).toBe('allow');
    expect(ask(tiefighter, 443).verdict).toBe('no-match');
    expect(ask(xwing).verdict).toBe('no-match');
    expect(ask(reservedIdentity.world).verdict).toBe('no-match');
  });

  it('l7-policy.yaml lets the Empire ask for landing, and nothing else', () => {
    const ask = withExample('l7-policy.yaml');
    expect(ask(tiefighter)).toMatchObject({
      verdict: 'redirect',
      ruleSet: { http: [{ method: 'POST', path: '/v1/request-landing' }] },
    });
    expect(ask(xwing).verdict).toBe('no-match');
  });
});
