// SPDX-License-Identifier: Apache-2.0
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { formatLabel } from '@weir/model';
import { createTestAgent, createTestNode, podSpec, type TestAgent, type TestNode } from '../testing/test-agent.ts';

let node: TestNode;
let agent: TestAgent;
beforeEach(() => {
  node = createTestNode();
  agent = createTestAgent(node);
});
afterEach(() => node.remove());

const red = 'k8s:io.cilium.k8s.namespace.labels.team=red';
const teamsOf = ({ table }: TestAgent): (string | undefined)[] =>
  table.list().map(({ labels }) => labels.labels.map(formatLabel).find((label) => label.includes('.labels.team=')));
const patch = (set: Readonly<Record<string, string>>, remove: readonly string[] = []): Promise<unknown> =>
  agent.namespaces.patch('shop', { set, remove });

describe('labels of a namespace', () => {
  it('become labels of its pods, of those that are there and of those that come, and of no others', async () => {
    await agent.manager.add(podSpec('first', { namespace: 'shop' }));
    await agent.manager.add(podSpec('other'));
    expect(await patch({ team: 'red' })).toEqual({ team: 'red' });
    await agent.manager.add(podSpec('second', { namespace: 'shop' }));
    expect(teamsOf(agent)).toEqual([red, undefined, red]);
    const [first, other] = agent.table.list();
    expect(node.datapath.listEndpoints().map(({ identity }) => identity)).toContain(first!.identity);
    expect(first!.identity).not.toBe(other!.identity);
  });

  it('change and go, and what is the same changes nothing', async () => {
    await agent.manager.add(podSpec('first', { namespace: 'shop' }));
    await patch({ team: 'red', tier: '1' });
    const [before] = agent.table.list();
    await patch({ team: 'red' });
    expect(agent.table.list()[0]).toBe(before);
    expect(await patch({ team: 'blue' }, ['tier', 'unknown'])).toEqual({ team: 'blue' });
    expect(teamsOf(agent)).toEqual(['k8s:io.cilium.k8s.namespace.labels.team=blue']);
    expect(await patch({}, ['team'])).toEqual({});
    expect(teamsOf(agent)).toEqual([undefined]);
    expect(agent.namespaces.list()).toEqual([]);
  });

  it('reach a pod that is being made', async () => {
    node.identities.goAway();
    const adding = agent.manager.add(podSpec('first', { namespace: 'shop' }));
    const patching = patch({ team: 'red' });
    node.identities.comeBack();
    await Promise.all([adding, patching]);
    expect(teamsOf(agent)).toEqual([red]);
  });

  it('outlive the agent', async () => {
    await agent.manager.add(podSpec('first', { namespace: 'shop' }));
    await patch({ team: 'red' });
    const next = createTestAgent(node);
    await next.namespaceLabels.load();
    await next.restore();
    expect(teamsOf(next)).toEqual([red]);
    expect(next.table.list()[0]).toMatchObject({ state: 'ready', identity: agent.table.list()[0]!.identity });
  });

  it('are what they were when one pod cannot get them', async () => {
    await agent.manager.add(podSpec('first', { namespace: 'shop' }));
    await agent.manager.add(podSpec('second', { namespace: 'shop' }));
    const identities = agent.table.list().map(({ identity }) => identity);
    node.faults.failCall(2);
    await expect(patch({ team: 'red' })).rejects.toThrow();
    node.faults.heal();
    expect(teamsOf(agent)).toEqual([undefined, undefined]);
    expect(agent.table.list().map(({ identity }) => identity)).toEqual(identities);
    expect(agent.namespaces.labelsOf('shop')).toEqual({});
  });

  it.each([
    ['shop', { 'not a key': 'x' }, 'not a key'],
    ['No', { team: 'red' }, '"No" is not the name of a namespace'],
    ['shop', Object.fromEntries(Array.from({ length: 129 }, (_, index) => [`k${index}`, ''])), 'at most 128 labels'],
  ])('of %s that cannot be are refused', async (namespace, set, message) => {
    await expect(agent.namespaces.patch(namespace, { set, remove: [] })).rejects.toMatchObject({
      ...{ code: 'INVALID_ARGUMENT', message: expect.stringContaining(message) },
    });
    expect(agent.namespaces.list()).toEqual([]);
  });

  it.each([
    ['{', 'is not JSON'],
    ['{"version":2}', 'has the version 2'],
    ['{"version":1,"namespaces":{"a":{"b":1}}}', 'something else than labels'],
  ])('are not guessed from a file that says %s', async (text, message) => {
    writeFileSync(join(node.directory, 'namespaces.json'), text);
    await expect(agent.namespaceLabels.load()).rejects.toMatchObject({
      ...{ code: 'CORRUPT_STATE', message: expect.stringContaining(message) },
    });
  });
});
