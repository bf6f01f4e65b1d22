// SPDX-License-Identifier: Apache-2.0
import { readdirSync, readFileSync } from 'node:fs';
import { basename, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A file of the page. */
export interface PageFile {
  readonly type: string;
  readonly body: Buffer;
}

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

// Beside the bundle there is a copy of the folder.
const isSource = import.meta.url.endsWith('.ts');
const directory = fileURLToPath(new URL(isSource ? '../../page/' : './page/', import.meta.url));

/** The files of the page by their paths, as they are when this is called: what is asked for later never opens a file. */
export function readPageFiles(): ReadonlyMap<string, PageFile> {
  const names = readdirSync(directory).filter((name) => extname(name) in types);
  const files = names.map((name): [string, PageFile] => [
    basename(name) === 'index.html' ? '/' : `/${name}`,
    { type: types[extname(name)] ?? '', body: readFileSync(join(directory, name)) },
  ]);
  return new Map(files);
}
