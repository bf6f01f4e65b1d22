// SPDX-License-Identifier: Apache-2.0

const providers: Readonly<Record<string, readonly string[]>> = {
  '../field.ts': [
    ...[
      'bigEndianNumberAt',
      'bytesAt',
      'exactly',
      'int16',
      'int32',
      'int64',
      'int8',
      'numberAt',
      'putBytes',
      'putZeros',
    ],
    ...['uint16', 'uint32', 'uint64', 'uint8'],
  ],
  '../codec.ts': ['be16', 'be32', 'be64', 'bool', 'byteArray', 's16', 's32', 's64', 's8', 'u16', 'u32', 'u64', 'u8'],
};

/** The import statement for those names of a module that a text uses; nothing when it uses none. */
export function importsOf(
  text: string,
  { from, names = providers[from] ?? [] }: { from: string; names?: readonly string[] },
): string {
  const used = names.filter((name) => new RegExp(`(?<![.\\w'])${name}\\b(?!:)`).test(text));
  return used.length === 0 ? '' : `import { ${used.join(', ')} } from '${from}';\n`;
}
