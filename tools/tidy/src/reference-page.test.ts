// SPDX-License-Identifier: Apache-2.0
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { commandsIn, helpOf, pageWith, programs } from './reference-page.ts';
import { root } from './source-tree.ts';

describe('pageWith()', () => {
  it('replaces the help below the mark and keeps what stands above', () => {
    const first = pageWith('## x\nold', { page: '', title: 'x' });
    expect(first).toMatch(/^# x\n\n<!-- .* -->\n\n## x\nold\n$/);
    const edited = first.replace('# x\n', '# x\n\nWhat x is for.\n');
    expect(pageWith('## x\nnew', { page: edited, title: 'x' })).toBe(edited.replace('old', 'new'));
  });
});

describe('commandsIn()', () => {
  it('finds sub-commands and leaves out help', () => {
    const help = 'Options:\n  --x  y\n\nCommands:\n  add [options] <name>  add one\n  help [command]  display help\n';
    expect(commandsIn(help)).toEqual(['add']);
  });
});

describe('docs/reference', () => {
  it.each(programs)('$page says what the program says of itself (make generate)', async (program) => {
    const path = root + program.page;
    const page = existsSync(path) ? readFileSync(path, 'utf8') : '';
    expect(page).toBe(pageWith(await helpOf(program), { page, title: program.name }));
  });
});
