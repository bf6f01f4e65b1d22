// SPDX-License-Identifier: Apache-2.0
import type { MapLayout, MapShape, StructLayout } from './layout.ts';
import { camelCase, docComment, header } from './names.ts';
import { valueCode } from './scalar-code.ts';
import { importsOf } from './write-imports.ts';

/** `maps.ts`: what each map is, under its subject. */
export function writeMaps(maps: readonly MapLayout[], structs: readonly StructLayout[]): string {
  const entries = maps.map((map) => {
    const identity = [`name: '${map.name}'`, `version: ${map.version}`];
    return `${docComment(map.doc, '  ')}  ${camelCase(map.subject)}: ${writeShape(map, { identity, indent: '  ' })},\n`;
  });
  const body = `/** Every map of the datapath, by subject. */\nexport const mapSpecs = {\n${entries.join('')}} as const;\n`;
  const codecs = importsOf(body, { from: '../codec.ts' });
  const names = structs.map((struct) => camelCase(struct.name)).toSorted();
  return `${header}${codecs}${importsOf(body, { from: './structs.ts', names })}\n${body}`;
}

function writeShape(shape: MapShape, { identity, indent }: { identity: readonly string[]; indent: string }): string {
  const lines = [
    ...identity,
    `type: '${shape.type}'`,
    `keySize: ${shape.keySize}`,
    `valueSize: ${shape.valueSize}`,
    `maxEntries: ${shape.maxEntries}`,
    `flags: ${shape.flags}`,
    ...(shape.key === undefined ? [] : [`key: ${valueCode(shape.key).codec}`]),
    ...(shape.value === undefined ? [] : [`value: ${valueCode(shape.value).codec}`]),
    ...(shape.inner === undefined
      ? []
      : [`inner: ${writeShape(shape.inner, { identity: [], indent: `${indent}  ` })}`]),
  ];
  return `{\n${lines.map((line) => `${indent}  ${line},\n`).join('')}${indent}}`;
}
