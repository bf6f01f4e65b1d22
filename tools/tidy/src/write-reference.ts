// SPDX-License-Identifier: Apache-2.0
// write-reference: brings the pages of docs/reference/ in line with what the programs say of themselves.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { helpOf, pageWith, programs } from './reference-page.ts';
import { root } from './source-tree.ts';

for (const program of programs) {
  const path = root + program.page;
  const page = existsSync(path) ? readFileSync(path, 'utf8') : '';
  writeFileSync(path, pageWith(await helpOf(program), { page, title: program.name }));
}
