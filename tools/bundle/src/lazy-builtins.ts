// SPDX-License-Identifier: Apache-2.0
import { isBuiltin } from 'node:module';
import type { Plugin } from 'esbuild';

const namespace = 'lazy-builtin';

/**
 * Takes Node's own modules by `process.getBuiltinModule`. An ES import of one reads every property of it to know its
 * exports, and some load as much as everything else together: `http.WebSocket` is all of undici.
 */
export const lazyBuiltins: Plugin = {
  name: 'lazy-builtins',
  setup(build) {
    build.onResolve({ filter: /^(node:)?[a-z]/ }, ({ path }) => (isBuiltin(path) ? { path, namespace } : undefined));
    build.onLoad({ filter: /.*/, namespace }, ({ path }) => ({
      contents: `module.exports = process.getBuiltinModule(${JSON.stringify(path)});`,
      loader: 'js',
    }));
  },
};
