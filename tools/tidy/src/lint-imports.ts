// SPDX-License-Identifier: Apache-2.0
// lint-imports: reads [{"file": "libs/x/src/y.ts", "imports": "@weir/z"}] from standard input and prints, for each, what
// the real ESLint configuration says. The files need not exist. A process of its own, because ESLint's plugins load
// native code that Jest's module sandbox cannot.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ESLint } from 'eslint';

const root = fileURLToPath(new URL('../../../', import.meta.url));

// Without a project graph the rule says nothing at all.
execFileSync(process.execPath, [`${root}node_modules/nx/dist/bin/nx.js`, 'show', 'projects'], {
  cwd: root,
  env: { ...process.env, NX_DAEMON: 'false' },
  stdio: ['ignore', 'ignore', 'inherit'],
});

const eslint = new ESLint({
  cwd: root,
  // A file that does not exist has no types; the rules that need them are not what is asked about.
  overrideConfig: {
    files: ['**/*.ts'],
    languageOptions: { parserOptions: { projectService: false } },
    rules: { '@typescript-eslint/no-floating-promises': 'off', '@typescript-eslint/no-misused-promises': 'off' },
  },
});

const cases = JSON.parse(readFileSync(0, 'utf8')) as { file: string; imports: string }[];
const answers: string[][] = [];
for (const { file, imports } of cases) {
  const text = `import * as other from '${imports}';\nexport const used = other;\n`;
  const [result] = await eslint.lintText(text, { filePath: root + file });
  answers.push((result?.messages ?? []).map(({ ruleId, message }) => `${ruleId}: ${message}`));
}
process.stdout.write(JSON.stringify(answers));
