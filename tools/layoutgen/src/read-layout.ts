// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { createBtf } from './btf.ts';
import { parseBtf } from './btf-parser.ts';
import { readConfig } from './config-reader.ts';
import { parseElf } from './elf.ts';
import type { Layout } from './layout.ts';
import { readMaps } from './map-reader.ts';
import { camelCase } from './names.ts';
import { createTypeReader } from './type-reader.ts';

/** Everything an object exports: see README.md for how the C side marks it. Throws INVALID_ARGUMENT on what it refuses. */
export function readLayout(object: Uint8Array): Layout {
  const elf = parseElf(object);
  const section = elf.sections.get('.BTF');
  if (section === undefined) {
    throw new WeirError('INVALID_ARGUMENT', 'Cannot read the object: it has no .BTF section; compile it with -g');
  }
  const btf = createBtf(parseBtf(section));
  const types = createTypeReader(btf);
  const maps = readMaps(btf, types);
  const config = readConfig({ btf, elf, types });
  for (const name of btf.sectionNames()) {
    for (const variable of btf.variables(name)) {
      if (variable.name.startsWith('export_')) types.export(variable.type, variable.name);
    }
  }
  checkNames([...types.structs, ...types.enums].map((type) => type.name));
  return { structs: types.structs, enums: types.enums, maps, config };
}

/** C keeps structs and enums in one namespace, but `ct_key` and `ctKey` would meet in TypeScript. */
function checkNames(names: readonly string[]): void {
  const twice = names.find((name, index) => names.findIndex((other) => camelCase(other) === camelCase(name)) !== index);
  if (twice !== undefined) {
    throw new WeirError('INVALID_ARGUMENT', `Cannot lay out "${twice}": two types become "${camelCase(twice)}"`);
  }
}
