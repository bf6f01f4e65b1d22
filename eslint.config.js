import nx from '@nx/eslint-plugin';
import prettier from 'eslint-config-prettier';
import tseslint from 'typescript-eslint';
import { depConstraints, testDepConstraints } from './eslint.boundaries.js';

const boundaries = (constraints) => [
  'error',
  { enforceBuildableLibDependency: false, allowCircularSelfDependency: false, depConstraints: constraints },
];

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
      '@typescript-eslint/no-non-null-assertion': 'off',
      'no-restricted-syntax': 'off',
    },
  },
  {
    // These projects run in a plain unit test, in a simulator and in a browser: no Node built-ins.
    files: [
      'libs/model/**/*.ts',
      'libs/policy/**/*.ts',
      'libs/errors/**/*.ts',
      'libs/datapath/layout/**/*.ts',
      'libs/datapath/maps/**/*.ts',
    ],
    ignores: ['**/*.test.ts'],
    rules: { 'no-restricted-imports': ['error', { patterns: ['node:*'] }] },
  },
  prettier,
);
