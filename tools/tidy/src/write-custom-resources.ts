// SPDX-License-Identifier: Apache-2.0
// write-custom-resources: brings charts/weir/crds/ in line with the tables that read policies.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { customResourceFiles } from './custom-resource-files.ts';
import { root } from './source-tree.ts';

for (const { path, content } of customResourceFiles()) {
  mkdirSync(dirname(root + path), { recursive: true });
  writeFileSync(root + path, content);
}
