// SPDX-License-Identifier: Apache-2.0
import type { EnumLayout } from './layout.ts';
import { camelCase, docComment, header, pascalCase } from './names.ts';

/** `enums.ts`: per enum its values by name, its names by value, and its texts by value when it has any. */
export function writeEnums(enums: readonly EnumLayout[]): string {
  return `${header}\n${enums.map(writeEnum).join('\n')}`;
}

function writeEnum({ name, entries }: EnumLayout): string {
  const constant = camelCase(name);
  const type = pascalCase(name);
  // Two names may share a value: the first one is what the value is called.
  const byValue = entries.filter((entry, index) => entries.findIndex(({ value }) => value === entry.value) === index);
  const texts = byValue.flatMap(({ value, text }) => (text === undefined ? [] : [`  ${value}: ${quote(text)},`]));
  return [
    `/** \`enum ${name}\`. */`,
    `export const ${constant} = {`,
    ...entries.map((entry) => `${docComment(entry.text, '  ')}  ${camelCase(entry.name)}: ${entry.value},`),
    '} as const;',
    `export type ${type} = (typeof ${constant})[keyof typeof ${constant}];`,
    '',
    `/** Names of {@link ${constant}} by value. */`,
    `export const ${constant}Names: Readonly<Record<number, keyof typeof ${constant}>> = {`,
    ...byValue.map((entry) => `  ${key(entry.value)}: '${camelCase(entry.name)}',`),
    '};',
    ...(texts.length === 0
      ? []
      : ['', `/** What to tell people, by value of {@link ${constant}}. */`]
          .concat(`export const ${constant}Texts: Readonly<Record<number, string>> = {`)
          .concat(texts, '};')),
    '',
  ].join('\n');
}

const key = (value: number): string => (value < 0 ? `[${value}]` : String(value));
const quote = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
