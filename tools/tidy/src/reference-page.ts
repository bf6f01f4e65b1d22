// SPDX-License-Identifier: Apache-2.0
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import { root } from './source-tree.ts';

const run = promisify(execFile);

/** A program whose page under docs/reference/ repeats its own help. */
export interface Program {
  readonly name: string;
  /** Its composition root, from the top of the tree. */
  readonly main: string;
  /** Its page, from the top of the tree. */
  readonly page: string;
}

/** All programs with flags; the C plugin has none. */
export const programs: readonly Program[] = [
  { name: 'agent', main: 'apps/agent/src/main.ts', page: 'docs/reference/agent.md' },
  {
    name: 'identity-allocator',
    main: 'apps/identity-allocator/src/main.ts',
    page: 'docs/reference/identity-allocator.md',
  },
  { name: 'operator', main: 'apps/operator/src/main.ts', page: 'docs/reference/operator.md' },
  { name: 'l7-proxy', main: 'apps/l7-proxy/src/main.ts', page: 'docs/reference/l7-proxy.md' },
  { name: 'monitor-relay', main: 'apps/monitor-relay/src/main.ts', page: 'docs/reference/monitor-relay.md' },
  { name: 'weir', main: 'apps/cli/src/main.ts', page: 'docs/reference/weir.md' },
  { name: 'weir lab', main: 'tools/lab/src/main.ts', page: 'docs/reference/weir-lab.md' },
].filter(({ main }) => existsSync(root + main));

const begin = '<!-- From here on: what the program says of itself, written by `make generate`. -->';

/** The page with everything below the mark replaced by the program's help; what a person wrote above it stays. */
export function pageWith(help: string, { page, title }: { page: string; title: string }): string {
  const [intro = ''] = page === '' ? [`# ${title}\n`] : page.split(begin);
  return `${intro.trimEnd()}\n\n${begin}\n\n${help.trimEnd()}\n`;
}

/** The names of the sub-commands in a page of help. */
export function commandsIn(help: string): string[] {
  const section = /^Commands:\n((?: {2}.*\n?)*)/m.exec(help)?.[1] ?? '';
  return [...section.matchAll(/^ {2}([a-z][a-z0-9-]*)/gm)].flatMap(([, name]) =>
    name === undefined || name === 'help' ? [] : [name],
  );
}

/** The help of a program and of each of its sub-commands, as Markdown. */
export async function helpOf({ name, main }: Program): Promise<string> {
  const { PATH, NODE_COMPILE_CACHE } = process.env;
  const sections: string[] = [];
  const open: string[][] = [[]];
  for (const words of open) {
    const { stdout } = await run(process.execPath, [root + main, ...words, '--help'], {
      env: { PATH, NODE_COMPILE_CACHE, NO_COLOR: '1', COLUMNS: '100' },
      timeout: 120_000,
    });
    sections.push(`## ${[name, ...words].join(' ')}\n\n\`\`\`text\n${stdout.trim()}\n\`\`\`\n`);
    open.push(...commandsIn(stdout).map((command) => [...words, command]));
  }
  return sections.join('\n');
}
