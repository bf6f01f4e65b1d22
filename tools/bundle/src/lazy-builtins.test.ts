// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { describe, expect, it } from '@jest/globals';
import { build } from 'esbuild';
import { lazyBuiltins } from './lazy-builtins.ts';

async function bundleOf(source: string): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents: source, resolveDir: import.meta.dirname },
    ...{ bundle: true, platform: 'node', format: 'esm', write: false, plugins: [lazyBuiltins] },
  });
  return outputFiles[0]!.text;
}

const run = (program: string): string =>
  execFileSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' }).trim();

describe('lazyBuiltins', () => {
  it('leaves unloaded what nobody uses of a module, which an ES import does not', async () => {
    const source = `
      import http, { STATUS_CODES } from 'node:http';
      import * as path from 'path';
      const isLoaded = process.moduleLoadList.some((name) => name.includes('undici'));
      console.log(http.STATUS_CODES === STATUS_CODES, path.basename('/a/b'), isLoaded);
    `;
    expect(run(await bundleOf(source))).toBe('true b false');
    expect(run(source)).toBe('true b true');
  });

  it('serves dynamic imports as well', async () => {
    const source = `const { sep } = await import('node:path'); console.log(sep);`;
    expect(run(await bundleOf(source))).toBe('/');
  });
});
