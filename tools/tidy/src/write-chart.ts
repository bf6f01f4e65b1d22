// SPDX-License-Identifier: Apache-2.0
// write-chart: brings the values of the chart, and the page about them, in line with their schema.
import { writeFileSync } from 'node:fs';
import { chartFiles } from './chart-values.ts';
import { root } from './source-tree.ts';

for (const { path, content } of chartFiles()) writeFileSync(root + path, content);
