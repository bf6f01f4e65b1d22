// SPDX-License-Identifier: Apache-2.0
import { dirname, normalize } from 'node:path/posix';
import type { SourceFile } from './source-tree.ts';

const withoutCode = (markdown: string): string =>
  markdown
    .replace(/^```.*?^```/gms, '')
    .replace(/^ {4}.*$/gm, '')
    .replace(/`[^`\n]*`/g, '');

/** The name GitHub gives to a heading, for links to it. */
export function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replace(/\s/g, '-');
}

/** The anchors of a document, one per heading. */
export function anchorsIn(markdown: string): Set<string> {
  const headings = markdown.replace(/^```.*?^```/gms, '').matchAll(/^#{1,6} +(.+)$/gm);
  return new Set([...headings].map(([, heading = '']) => anchorOf(heading.replaceAll('`', ''))));
}

/** Relative links of a document that lead nowhere: to a file that is not in the tree, or a heading that is not in it. */
export function brokenLinks(document: SourceFile, tree: ReadonlyMap<string, string>): string[] {
  const links = withoutCode(document.text).matchAll(/\]\(([^)\s]+)(?: "[^"]*")?\)/g);
  return [...links].flatMap(([, target = '']) => {
    if (/^[a-z]+:/.test(target)) return [];
    const [path = '', anchor] = target.split('#');
    const file = path === '' ? document.path : normalize(`${dirname(document.path)}/${path}`).replace(/\/$/, '');
    const text = tree.get(file);
    const isFolder = [...tree.keys()].some((known) => known.startsWith(`${file}/`));
    if (text === undefined && !isFolder) return [`${document.path}: "${target}" leads to no file`];
    if (anchor !== undefined && !anchorsIn(text ?? '').has(anchor))
      return [`${document.path}: "${target}" has no such heading`];
    return [];
  });
}
