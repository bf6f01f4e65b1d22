// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { filesMatching } from './source-tree.ts';
import { undocumentedExports } from './undocumented-exports.ts';

describe('undocumentedExports()', () => {
  const check = (text: string): string[] => undocumentedExports({ path: 'x.ts', text });

  it('finds values without a sentence, and leaves alone what is not exported', () => {
    expect(check('const a = 1;\n\nexport function b() {}\n\nexport class C {}\n\nexport const d = 1;\n')).toEqual([
      'x.ts:3: b',
      'x.ts:5: C',
      'x.ts:7: d',
    ]);
    expect(check('/** Does. */\nexport function b() {}\n')).toEqual([]);
  });

  it('takes one comment for a run of constants', () => {
    expect(check('/** Both. */\nexport const a = 1;\nexport const b = 2;\n')).toEqual([]);
    expect(check('/** One. */\nexport const a = 1;\n\nexport const b = 2;\n')).toEqual(['x.ts:4: b']);
  });

  it('takes the sentence on a type for the constant of the same name', () => {
    expect(check('/** Side. */\nexport type Side = string;\n\nexport const Side = {};\n')).toEqual([]);
  });

  // What only tests use may speak for itself.
  it('holds in every library, app and tool', () => {
    const files = filesMatching(/^(apps|libs|tools|bench\/lib)\/(?!.*\btesting\/).*(?<!\.test|\.d)\.ts$/);
    expect(files.flatMap(undocumentedExports)).toEqual([]);
  });
});
