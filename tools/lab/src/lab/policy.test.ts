// SPDX-License-Identifier: Apache-2.0
// Agents that judge and remember, so that a test sees what each of them was told and what it holds in the end.
import { describe, expect, it } from '@jest/globals';
import type { AgentClient } from './agent-client.ts';
import { applyPolicies, deletePolicies } from './policy.ts';
import { PolicyRefusedError } from './policy-refused-error.ts';

interface Import {
  readonly files: readonly { readonly name: string }[];
  readonly validateOnly?: boolean;
}

const problem = { file: 'a.yaml', line: 3, column: 7, path: 'spec.ingress', value: '1', message: 'Expected a list' };

function agent(options: { readonly refuses?: boolean } = {}): { client: AgentClient; held: Set<string> } {
  const held = new Set<string>();
  const client = {
    importPolicy({ files, validateOnly }: Import) {
      if (options.refuses) return Promise.resolve({ problems: [problem], imported: [] });
      if (!validateOnly) files.forEach(({ name }) => held.add(name));
      return Promise.resolve({ problems: [], imported: files.map(({ name }) => name) });
    },
    deletePolicy: ({ all, files }: Import & { all?: boolean }) =>
      Promise.resolve({
        problems: [],
        deleted: [...held].filter((name) =>
          all ? held.delete(name) : files.some((file) => file.name === name && held.delete(name)),
        ),
      }),
  };
  return { client: client as unknown as AgentClient, held };
}

const file = { name: 'a.yaml', content: Buffer.from('[]') };

describe('applyPolicies()', () => {
  it('brings a policy into force on every node', async () => {
    const agents = [agent(), agent()];
    const outcome = await applyPolicies(
      agents.map(({ client }) => client),
      [file],
    );
    expect(outcome).toEqual({ policies: ['a.yaml'] });
    expect(agents.map(({ held }) => [...held])).toEqual([['a.yaml'], ['a.yaml']]);
  });

  it('changes no node when one of them finds a problem', async () => {
    const agents = [agent(), agent({ refuses: true })];
    const refused = applyPolicies(
      agents.map(({ client }) => client),
      [file],
    );
    await expect(refused).rejects.toBeInstanceOf(PolicyRefusedError);
    await expect(refused).rejects.toThrow('a.yaml:3:7: spec.ingress: Expected a list');
    expect(agents.map(({ held }) => held.size)).toEqual([0, 0]);
  });
});

describe('deletePolicies()', () => {
  it('tells once what was deleted on several nodes', async () => {
    const agents = [agent(), agent()];
    const clients = agents.map(({ client }) => client);
    await applyPolicies(clients, [file]);
    expect(await deletePolicies(clients, { files: [file] })).toEqual({ policies: ['a.yaml'] });
    expect(await deletePolicies(clients, { all: true })).toEqual({ policies: [] });
  });
});
