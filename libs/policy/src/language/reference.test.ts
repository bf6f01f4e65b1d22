// SPDX-License-Identifier: Apache-2.0
// Holds docs/reference/policy-language.md to the tables that read the language, and its proofs to tests that exist.
import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { allFeatures } from '../feature.ts';
import { policyLimits } from '../limits.ts';
import { languageFields } from './fields.ts';

const root = fileURLToPath(new URL('../../../../', import.meta.url));
const page = readFileSync(`${root}docs/reference/policy-language.md`, 'utf8');
const readAll = (pattern: string): string[] => globSync(root + pattern).map((file) => readFileSync(file, 'utf8'));
const tests = readAll('libs/policy/src/**/*.test.ts');
// What runs in the kernel and in the proxy is proved there.
const allTests = [...tests, ...readAll('test/lab/src/*.test.ts'), ...readAll('apps/l7-proxy/src/**/*.test.ts')];
const rows = page
  .split('\n')
  .map((line) =>
    line
      .slice(2, -2)
      .split(' | ')
      .map((cell) => cell.trim()),
  )
  .filter((cells) => cells.length === 5 && /^(enforced|refused|ignored)$/.test(cells[2]!));
const quoted = (cell: string): string[] => [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1]!);

describe('docs/reference/policy-language.md', () => {
  it('has every field of the language with what becomes of it, and no other', () => {
    const documented = rows.flatMap(([objects = '', fields = '', status]) =>
      quoted(objects).flatMap((object) => quoted(fields).map((field) => `${object} ${field} ${status}`)),
    );
    const known = languageFields(allFeatures).map(({ object, field, status }) => `${object} ${field} ${status}`);
    expect(documented.toSorted()).toEqual(known.toSorted());
  });

  it('names a test for each', () => {
    const proofs = rows.flatMap((cells) => cells[4]!.replace(/^"|"$/g, '').split('"; "'));
    const missing = proofs.filter((title) => !allTests.some((text) => text.includes(`'${title}'`)));
    expect(missing).toEqual([]);
  });

  it('has every refused field in the test that it names', () => {
    const refusals = tests.find((text) => text.includes('that are known but not enforced are refused by name'))!;
    const fields = languageFields(allFeatures).filter(
      ({ status, object }) => status === 'refused' && object !== 'entity',
    );
    const untested = fields.filter(({ field }) => !new RegExp(`\\b${field}: `).test(refusals));
    expect(untested).toEqual([]);
  });

  it('says of every feature what needs it', () => {
    for (const feature of allFeatures) expect(page).toMatch(new RegExp(`^\\| \`${feature}\` \\|`, 'm'));
  });

  it('states every limit', () => {
    for (const [name, value] of Object.entries(policyLimits)) {
      expect(page).toMatch(new RegExp(`\\(\`${name}\`\\) \\| ${value}( bytes)? \\|`));
    }
  });
});
