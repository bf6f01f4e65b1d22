// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  createTestAgent,
  createTestNode,
  podSpec,
  policyFor,
  type TestAgent,
  type TestNode,
} from '../testing/test-agent.ts';
import { createPolicyService, type PolicyService } from './policy-service.ts';
import { createPolicyStore, type PolicyStore } from './policy-store.ts';

let node: TestNode;
let agent: TestAgent;
let store: PolicyStore;
let service: PolicyService;
let path: string;
beforeEach(async () => {
  node = createTestNode();
  agent = createTestAgent(node);
  path = join(node.directory, 'policies.json');
  store = createPolicyStore(path);
  const { engine, controller, prefixes } = agent;
  service = createPolicyService({ engine, controller, prefixes, store });
  for (const app of ['server', 'client']) await agent.manager.add(podSpec(app));
});
afterEach(() => node.remove());

const fileFor = (app: string, port: number) => ({
  name: `${app}.yaml`,
  content: policyFor(app, { from: 'client', ports: [port] }).document,
});
const broken = { name: 'broken.yaml', content: 'kind: CiliumNetworkPolicy\nspec: {endpointSelector: {}, ingres: []}' };
const importing = (...files: { name: string; content: string }[]) => service.import(files, { validateOnly: false });

/** The three places that must agree. */
const everywhere = () => ({
  disk: existsSync(path)
    ? JSON.parse(readFileSync(path, 'utf8')).policies.map(({ name }: { name: string }) => name)
    : [],
  engine: agent.engine.policies().map(({ name }) => name),
  kernel: node.datapath.listPolicySlots().flatMap((slot) => node.datapath.listPolicy(slot).map(({ port }) => port)),
});

describe('import()', () => {
  it('brings policies onto the disk, into the engine and into the kernel', async () => {
    const outcome = await importing(fileFor('server', 80), fileFor('other', 81));
    expect(outcome).toEqual({
      revision: 1,
      problems: [],
      keys: ['CiliumNetworkPolicy/default/server', 'CiliumNetworkPolicy/default/other'],
    });
    expect(everywhere()).toEqual({ disk: ['server', 'other'], engine: ['server', 'other'], kernel: [80] });
    expect(await createPolicyStore(path).load()).toEqual(agent.engine.policies());
  });

  it('replaces a policy of the same name', async () => {
    await importing(fileFor('server', 80));
    await importing(fileFor('server', 443));
    expect(everywhere()).toEqual({ disk: ['server'], engine: ['server'], kernel: [443] });
  });

  it('changes nothing with a problem in any file, and names file and line', async () => {
    await importing(fileFor('server', 80));
    const { problems, keys } = await importing(fileFor('server', 443), broken);
    expect(problems[0]).toMatchObject({ file: 'broken.yaml', line: expect.any(Number), message: expect.any(String) });
    expect(keys.length).toBeGreaterThan(0);
    expect(everywhere()).toEqual({ disk: ['server'], engine: ['server'], kernel: [80] });
  });

  it('changes nothing when it is only to judge', async () => {
    const { problems } = await service.import([fileFor('server', 80)], { validateOnly: true });
    expect(problems).toEqual([]);
    expect(everywhere()).toEqual({ disk: [], engine: [], kernel: [] });
  });

  it('changes nothing anywhere when the kernel has no room', async () => {
    await importing(fileFor('server', 80));
    node.datapath.limit({ policyEntriesMax: 1 });
    const two = policyFor('server', { from: 'client', ports: [1, 2] }).document;
    await expect(importing({ name: 'two', content: two }, fileFor('other', 5))).rejects.toMatchObject({
      code: 'RESOURCE_EXHAUSTED',
    });
    expect(everywhere()).toEqual({ disk: ['server'], engine: ['server'], kernel: [80] });
    expect(agent.controller.behind.size).toBe(0);
    expect(existsSync(`${path}.new`)).toBe(false);
  });

  it('changes nothing anywhere when the file cannot be written', async () => {
    await importing(fileFor('server', 80));
    mkdirSync(`${path}.new`);
    await expect(importing(fileFor('server', 443))).rejects.toMatchObject({ code: 'EISDIR' });
    expect(everywhere()).toEqual({ disk: ['server'], engine: ['server'], kernel: [80] });
  });

  it('takes back what is in force when the file cannot be put in its place', async () => {
    await importing(fileFor('server', 80));
    const { prepare } = store;
    store.prepare = async (policies) => ({
      ...(await prepare(policies)),
      commit: () => Promise.reject(new TypeError('disk is gone')),
    });
    await expect(importing(fileFor('server', 443))).rejects.toThrow('disk is gone');
    expect(everywhere()).toEqual({ disk: ['server'], engine: ['server'], kernel: [80] });
  });

  it('makes changes one after the other', async () => {
    await Promise.all([1, 2, 3, 4].map((port) => importing(fileFor('server', port))));
    expect(everywhere()).toEqual({ disk: ['server'], engine: ['server'], kernel: [4] });
  });
});

describe('delete()', () => {
  const selection = { names: [], files: [], all: false };
  beforeEach(async () => {
    await importing(fileFor('server', 80), fileFor('client', 81));
  });

  it.each([
    ['a name', { ...selection, names: ['server'] }],
    ['namespace and name', { ...selection, names: ['default/server'] }],
    ['a file', { ...selection, files: [fileFor('server', 1)] }],
    ['a name and a file that mean the same', { ...selection, names: ['server'], files: [fileFor('server', 1)] }],
  ])('takes out of force what %s says', async (_, chosen) => {
    const { keys } = await service.delete(chosen);
    expect(keys).toEqual(['CiliumNetworkPolicy/default/server']);
    expect(everywhere()).toMatchObject({ disk: ['client'], engine: ['client'] });
  });

  it('takes all out of force', async () => {
    await service.delete({ ...selection, all: true });
    expect(everywhere()).toEqual({ disk: [], engine: [], kernel: [] });
  });

  it('changes nothing when something does not exist, and names it', async () => {
    const names = ['server', 'none', 'other/server'];
    await expect(service.delete({ ...selection, names })).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: 'There is no policy "none", "other/server"',
    });
    await expect(service.delete({ ...selection, files: [fileFor('nobody', 1)] })).rejects.toThrow('default/nobody');
    expect((await service.delete({ ...selection, files: [broken] })).problems).not.toEqual([]);
    expect(everywhere()).toMatchObject({ disk: ['server', 'client'], engine: ['server', 'client'] });
  });
});

describe('sync()', () => {
  const syncing = (files: readonly { name: string; content: string }[], deleteKeys: readonly string[] = []) =>
    service.sync({ owner: 'kubernetes', files, deleteKeys });
  const key = 'CiliumNetworkPolicy/default/server';

  it('brings what can be read into force, and says what cannot and why', async () => {
    const refused = await syncing([fileFor('server', 80), broken]);
    expect([...refused]).toEqual([['broken.yaml', 'apiVersion: Field "apiVersion" is missing']]);
    expect(everywhere()).toEqual({ disk: ['server'], engine: ['server'], kernel: [80] });
    expect(await createPolicyStore(path).load()).toMatchObject([{ key, owner: 'kubernetes' }]);
  });

  it('keeps what is in force of a policy that cannot be read any more, and changes nothing for one that is the same', async () => {
    await syncing([fileFor('server', 80)]);
    const { revision } = agent.engine;
    expect((await syncing([{ ...broken, name: 'server.yaml' }])).size).toBe(1);
    expect((await syncing([fileFor('server', 80)])).size).toBe(0);
    expect(agent.engine.revision).toBe(revision);
    expect(everywhere()).toEqual({ disk: ['server'], engine: ['server'], kernel: [80] });
  });

  it('deletes what belongs to the owner, and nothing else', async () => {
    await importing(fileFor('client', 81));
    await syncing([fileFor('server', 80)]);
    await syncing([], [key, 'CiliumNetworkPolicy/default/client', 'CiliumNetworkPolicy/default/none']);
    expect(everywhere()).toMatchObject({ disk: ['client'], engine: ['client'] });
  });

  it('leaves alone what somebody has imported, and says so', async () => {
    await importing(fileFor('server', 80));
    const refused = await syncing([fileFor('server', 443)]);
    expect([...refused.values()]).toEqual([`There is a policy "${key}" that somebody has imported into this node`]);
    expect(everywhere()).toEqual({ disk: ['server'], engine: ['server'], kernel: [80] });
  });

  it('lets nobody else change what belongs to the owner', async () => {
    await syncing([fileFor('server', 80)]);
    const foreign = { code: 'FAILED_PRECONDITION', message: expect.stringContaining('belongs to kubernetes') };
    await expect(importing(fileFor('server', 443))).rejects.toMatchObject(foreign);
    await expect(service.delete({ names: ['server'], files: [], all: false })).rejects.toMatchObject(foreign);
    expect((await service.delete({ names: [], files: [], all: true })).keys).toEqual([]);
    expect(everywhere()).toEqual({ disk: ['server'], engine: ['server'], kernel: [80] });
  });
});

describe('createPolicyStore()', () => {
  it('has no policies where there is no file', async () => {
    expect(await createPolicyStore(join(node.directory, 'none.json')).load()).toEqual([]);
  });

  it.each([
    ['', 'is not JSON'],
    ['{"version":7}', 'has the version 7; expected 1'],
    ['[]', 'has the version undefined; expected 1'],
    ['{"version":1,"policies":{}}', 'has something else than policies in "policies"'],
    ['{"version":1,"policies":[{"key":"a"}]}', 'has something else than policies in "policies"'],
  ])('refuses %s: without its policies a node would let everything through', async (text, problem) => {
    writeFileSync(path, text);
    await expect(store.load()).rejects.toMatchObject({
      code: 'CORRUPT_STATE',
      message: `The policy file "${path}" ${problem}; what the kernel enforces stays in force`,
    });
    expect(readFileSync(path, 'utf8')).toBe(text);
  });
});
