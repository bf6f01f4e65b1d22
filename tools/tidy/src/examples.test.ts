// SPDX-License-Identifier: Apache-2.0
// What people copy must work: every policy under examples/, and in the documentation, is one that Weir accepts.
import { describe, expect, it } from '@jest/globals';
import { formatProblem, parsePolicyFiles } from '@weir/policy';
import { filesMatching, type SourceFile } from './source-tree.ts';

const isPolicy = ({ text }: SourceFile): boolean => /endpointSelector|CiliumNetworkPolicy/.test(text);
const examples = filesMatching(/^examples\/.*\.(ya?ml|json)$/).filter(isPolicy);
const inDocuments = filesMatching(/\.md$/).flatMap(({ path, text }) =>
  [...text.matchAll(/^```(yaml|json)\n(.*?)^```/gms)]
    .map(([, language, body = '']) => ({ path: `${path} (${language})`, text: body }))
    .filter(isPolicy),
);

describe('examples', () => {
  it.each([...examples, ...inDocuments])('$path is accepted', ({ path, text }) => {
    const { problems } = parsePolicyFiles([{ name: path, content: text }]);
    expect(problems.map(formatProblem)).toEqual([]);
  });

  it('are there', () => {
    expect(examples.length).toBeGreaterThan(0);
  });
});
