// SPDX-License-Identifier: Apache-2.0
import { globSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import nx from '@nx/eslint-plugin';
import prettier from 'eslint-config-prettier';
import tseslint from 'typescript-eslint';
import { depConstraints, testDepConstraints } from './eslint.boundaries.js';

const boundaries = (constraints) => [
  'error',
  { enforceBuildableLibDependency: false, allowCircularSelfDependency: false, depConstraints: constraints },
];

const deepImports = {
  group: ['@weir/*/**'],
  message: 'Import the library by its name: what it exports is its contract',
};
const nodeBuiltIns = { group: ['node:*'], message: 'This project is tagged runtime:pure' };
const pureProjects = globSync('{apps,libs,libs/datapath,tools}/*/package.json', { cwd: import.meta.dirname })
  .filter((path) =>
    JSON.parse(readFileSync(`${import.meta.dirname}/${path}`, 'utf8')).nx?.tags.includes('runtime:pure'),
  )
  .map((path) => `${dirname(path)}/**/*.ts`);

export default tseslint.config(
  { ignores: ['**/dist/**', '**/build/**', '**/src/gen/**', '**/node_modules/**', '.nx/**', '**/fixtures/**'] },
  ...tseslint.configs.strict,
  {
    files: ['**/*.ts'],
    plugins: { '@nx': nx },
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@nx/enforce-module-boundaries': boundaries(depConstraints),
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/no-non-null-assertion': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      'max-lines': ['error', { max: 500 }],
      'max-lines-per-function': ['error', { max: 70, skipComments: true, skipBlankLines: true }],
      'max-params': ['error', { max: 3 }],
      'no-restricted-syntax': [
        'error',
        { selector: 'ExportAllDeclaration', message: 'Name each export: `export *` hides what a library offers' },
        {
          selector: "ThrowStatement > NewExpression[callee.name='Error']",
          message: 'Throw a WeirError with a code from the catalogue (libs/errors)',
        },
      ],
      'no-restricted-imports': ['error', { patterns: [deepImports] }],
      eqeqeq: 'error',
    },
  },
  {
    // A test names one situation per `it`, so the describe callback that holds them is long by nature.
    files: ['**/*.test.ts', '**/testing/**/*.ts'],
    rules: {
      '@nx/enforce-module-boundaries': boundaries(testDepConstraints),
      'max-lines': ['error', { max: 600 }],
      'max-lines-per-function': 'off',
      // A row of a table of cases is a list of arguments.
      'max-params': 'off',
      '@typescript-eslint/no-non-null-assertion': 'off',
      'no-restricted-syntax': 'off',
    },
  },
  {
    // What runs in a browser, as it is written. What others have chosen never becomes markup or code.
    files: ['apps/*/page/**/*.js'],
    rules: {
      'max-lines': ['error', { max: 500 }],
      'max-lines-per-function': ['error', { max: 70, skipComments: true, skipBlankLines: true }],
      'max-params': ['error', { max: 3 }],
      'no-eval': 'error',
      'no-implied-eval': 'error',
      'no-new-func': 'error',
      'no-restricted-properties': [
        'error',
        ...['innerHTML', 'outerHTML', 'insertAdjacentHTML', 'write', 'writeln', 'srcdoc'].map((property) => ({
          ...{ property, message: 'Texts are texts: use textContent' },
        })),
      ],
      eqeqeq: 'error',
    },
  },
  {
    // These projects run in a plain unit test, in a simulator and in a browser: no Node built-ins.
    files: pureProjects,
    ignores: ['**/*.test.ts'],
    rules: { 'no-restricted-imports': ['error', { patterns: [deepImports, nodeBuiltIns] }] },
  },
  prettier,
);
