// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import type { Btf } from './btf.ts';
import type { ElfObject } from './elf.ts';
import type { ConfigLayout } from './layout.ts';
import type { TypeReader } from './type-reader.ts';

/** Reads the `const volatile` variables of `.rodata`, which are set when the object is loaded. */
export function readConfig({ btf, elf, types }: { btf: Btf; elf: ElfObject; types: TypeReader }): ConfigLayout[] {
  return btf.variables('.rodata').flatMap((variable) => {
    const resolved = btf.resolve(variable.type);
    const element = resolved.type.kind === 'array' ? btf.resolve(resolved.type.element) : resolved;
    // The qualifiers of an array stand on its elements.
    if (!resolved.constVolatile && !element.constVolatile) return [];
    const type = types.value(variable.type, `variable "${variable.name}"`);
    if (type.kind === 'struct') {
      const expected = 'expected an integer, a boolean or bytes';
      throw new WeirError('NOT_SUPPORTED', `Cannot lay out variable "${variable.name}": found a struct, ${expected}`);
    }
    const doc = btf.doc(variable.id);
    const initial = initialBytes(elf, variable.name);
    return [{ name: variable.name, type, initial, ...(doc === undefined ? {} : { doc }) }];
  });
}

function initialBytes(elf: ElfObject, name: string): Uint8Array {
  const symbol = elf.symbols.get(name);
  const section = symbol === undefined ? undefined : elf.sections.get(symbol.section);
  if (symbol === undefined || section === undefined) {
    throw new WeirError('INVALID_ARGUMENT', `Cannot lay out variable "${name}": the object has no symbol for it`);
  }
  return section.subarray(symbol.offset, symbol.offset + symbol.size);
}
