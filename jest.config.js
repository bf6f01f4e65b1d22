// SPDX-License-Identifier: Apache-2.0
// One Jest configuration for the whole workspace. Kinds of test are told apart by file name:
//   x.test.ts            pure, no root, milliseconds
//   x.kernel.test.ts     needs root and a real kernel (packet tests, native addon)
//   x.lab.test.ts        needs root and the lab (nodes and pods made of network namespaces)
// `WEIR_TESTS=unit|kernel|lab` chooses one kind; without it all of them run.
const patterns = {
  unit: ['**/*.test.ts'],
  kernel: ['**/*.kernel.test.ts'],
  lab: ['**/*.lab.test.ts'],
};
const kind = process.env.WEIR_TESTS;
if (kind !== undefined && !(kind in patterns)) {
  throw new Error(`WEIR_TESTS: "${kind}" is not one of ${Object.keys(patterns).join(', ')}`);
}

export default {
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {
        jsc: {
          parser: { syntax: 'typescript' },
          target: 'es2024',
          experimental: { keepImportAttributes: true },
        },
        module: { type: 'es6' },
      },
    ],
  },
  testMatch: kind === undefined ? ['**/*.test.ts'] : patterns[kind],
  testPathIgnorePatterns: [
    '/node_modules/',
    '/dist/',
    '/fixtures/',
    ...(kind === 'unit' ? ['\\.kernel\\.test\\.ts$', '\\.lab\\.test\\.ts$'] : []),
  ],
  // Ends what hangs. No test measures time, so that a busy machine makes none of them fail.
  testTimeout: 180_000,
  modulePathIgnorePatterns: ['/dist/', '/build/', '/\\.nx/'],
};
