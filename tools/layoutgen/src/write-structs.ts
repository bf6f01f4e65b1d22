// SPDX-License-Identifier: Apache-2.0
import type { FieldLayout, StructLayout } from './layout.ts';
import { camelCase, docComment, header, pascalCase, sentence } from './names.ts';
import { valueCode } from './scalar-code.ts';
import { importsOf } from './write-imports.ts';

/** `structs.ts`: an interface and a codec per struct. */
export function writeStructs(structs: readonly StructLayout[]): string {
  const body = structs.map(writeStruct).join('\n');
  return `${header}${importsOf(body, { from: '../field.ts' })}\n${body}`;
}

function writeStruct(struct: StructLayout): string {
  const shown = struct.fields.filter((field) => !field.padding);
  const about = `\`struct ${struct.name}\`, ${struct.size} bytes`;
  const members = shown.map((field) => {
    return `${docComment(field.doc, '  ')}  readonly ${camelCase(field.name)}: ${fieldType(field)};`;
  });
  const offsets = shown.map((field) => `    ${camelCase(field.name)}: ${field.offset},`);
  const encode = struct.fields.map((field) => `    ${encodeField(struct, field)}`);
  const decode = shown.map((field) => `      ${camelCase(field.name)}: ${decodeField(field)},`);
  const type = pascalCase(struct.name);
  return [
    `${docComment(struct.doc === undefined ? about : `${sentence(struct.doc)} ${about}`)}export interface ${type} {`,
    ...members,
    '}',
    '',
    `/** Codec of {@link ${type}}. Offsets are in bytes. */`,
    `export const ${camelCase(struct.name)} = {`,
    `  name: '${struct.name}',`,
    `  size: ${struct.size},`,
    '  offsets: {',
    ...offsets,
    '  },',
    `  encode(into: DataView, offset: number, value: ${type}): void {`,
    ...encode,
    '  },',
    `  decode(from: DataView, offset: number): ${type} {`,
    '    return {',
    ...decode,
    '    };',
    '  },',
    ...shown.flatMap((field) => fieldAccess(struct, field)),
    '} as const;',
    '',
  ].join('\n');
}

const at = (offset: number): string => (offset === 0 ? 'offset' : `offset + ${offset}`);
const elementAt = (field: FieldLayout): string => `${at(field.offset)} + index * ${elementSize(field)}`;
const elementSize = (field: FieldLayout): number => field.size / (field.count ?? 1);

function fieldType(field: FieldLayout): string {
  const { type } = valueCode(field.type);
  return field.count === undefined ? type : `readonly ${type}[]`;
}

function encodeField(struct: StructLayout, field: FieldLayout): string {
  if (field.padding) return `putZeros(into, ${at(field.offset)}, ${field.size});`;
  const code = valueCode(field.type);
  const label = `${struct.name}.${field.name}`;
  const value = `value.${camelCase(field.name)}`;
  if (field.count === undefined) return code.write({ view: 'into', at: at(field.offset), value, label });
  const write = code.write({ view: 'into', at: elementAt(field), value: 'element', label });
  return `for (const [index, element] of exactly('${label}', ${value}, ${field.count}).entries()) {\n      ${write}\n    }`;
}

function decodeField(field: FieldLayout): string {
  const code = valueCode(field.type);
  if (field.count === undefined) return code.read('from', at(field.offset));
  return `Array.from({ length: ${field.count} }, (_, index) => ${code.read('from', elementAt(field))})`;
}

/** Access to one field that moves nothing else: a reader and a writer, or the offset of a struct within this one. */
function fieldAccess(struct: StructLayout, field: FieldLayout): string[] {
  const name = pascalCase(field.name);
  const index = field.count === undefined ? '' : ', index: number';
  const place = field.count === undefined ? at(field.offset) : elementAt(field);
  const method = (head: string, body: string): string[] => [`  ${head} {`, `    ${body}`, '  },'];
  const code = valueCode(field.type);
  const result = `from: DataView, offset: number${index}`;
  const label = `${struct.name}.${field.name}`;
  const write = code.write({ view: 'into', at: place, value: 'value', label });
  const writer = method(`write${name}(into: DataView, offset: number, value: ${code.type}): void`, write);
  const setter = field.count === undefined ? writer : [];
  switch (field.type.kind) {
    case 'struct':
      return method(`at${name}(offset: number${index}): number`, `return ${place};`);
    case 'bytes':
      // A view, not a copy: it is cheap, and changes with the buffer.
      return [
        ...method(`read${name}(${result}): Uint8Array`, `return bytesAt(from, ${place}, ${field.type.length});`),
        ...setter,
      ];
    case 'integer':
    case 'boolean':
      return [
        ...method(`read${name}(${result}): ${code.type}`, `return ${code.read('from', place)};`),
        ...(code.type === 'bigint'
          ? method(`read${name}Number(${result}): number`, `return ${count64(field)}(from, ${place});`)
          : []),
        ...setter,
      ];
  }
}

const count64 = (field: FieldLayout): string =>
  field.type.kind === 'integer' && field.type.bigEndian ? 'bigEndianNumberAt' : 'numberAt';
