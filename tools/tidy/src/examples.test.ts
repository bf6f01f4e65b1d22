// SPDX-License-Identifier: Apache-2.0
// What people copy must work: every policy under examples/, and in the documentation, is one that Weir accepts.
import { existsSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { defaultFeatures, formatProblem, parsePolicyFiles, type PolicyFeature } from '@weir/policy';
import { filesMatching, root, type SourceFile } from './source-tree.ts';

const isPolicy = ({ text }: SourceFile): boolean => /endpointSelector|CiliumNetworkPolicy/.test(text);
const examples = filesMatching(/^examples\/.*\.(ya?ml|json)$/).filter(isPolicy);
const inDocuments = filesMatching(/\.md$/).flatMap(({ path, text }) =>
  [...text.matchAll(/^```(yaml|json)\n(.*?)^```/gms)]
    .map(([, language, body = '']) => ({ path: `${path} (${language})`, text: body }))
    .filter(isPolicy),
);

/** What a file says that it needs besides what is there. */
const neededBy = (text: string): PolicyFeature[] =>
  (/^# Needs: (.*)$/m.exec(text)?.[1]?.split(', ') ?? []) as PolicyFeature[];

describe('examples', () => {
  it.each([...examples, ...inDocuments])('$path is accepted', ({ path, text }) => {
    const { problems } = parsePolicyFiles([{ name: path, content: text }], {
      supports: new Set([...defaultFeatures, ...neededBy(text)]),
    });
    expect(problems.map(formatProblem)).toEqual([]);
  });

  it('are named as they are called, wherever they are named', () => {
    const mentions = filesMatching(/(?<!\.test)\.(ts|md)$/).flatMap(({ path, text }) =>
      [...text.matchAll(/\bexamples\/[\w./-]+\.(?:ya?ml|json)\b/g)].map(([name]) => ({ path, name })),
    );
    expect(mentions.filter(({ name }) => !existsSync(root + name))).toEqual([]);
  });

  it('are there', () => {
    expect(examples.length).toBeGreaterThan(0);
  });
});
