// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import type { Btf } from './btf.ts';
import type { BtfEnum } from './btf-types.ts';
import type { EnumLayout } from './layout.ts';

/**
 * Turns an enum into named values. Enumerators that begin with `__` are sentinels and left out; the text of
 * `X` is the decl tag of the variable `doc_X`.
 */
export function readEnumLayout(btf: Btf, type: BtfEnum): EnumLayout {
  const texts = enumeratorTexts(btf);
  const visible = type.values.filter((entry) => !entry.name.startsWith('__'));
  const prefix = type.name.toUpperCase().split('_');
  const entries = visible.map((entry) => {
    const value = Number(entry.value);
    const name = withoutPrefix(entry.name, prefix).toLowerCase();
    // Before clang 15 nothing in BTF told -1 from 2^32 - 1.
    if (!Number.isSafeInteger(value) || (type.size === 4 && value >= 2 ** 31)) {
      const problem = `${entry.value} is negative or too large, expected at most 2^31 - 1`;
      throw new WeirError('INVALID_ARGUMENT', `Cannot lay out ${entry.name}: ${problem}`);
    }
    if (!/^[a-z]/.test(name)) {
      const problem = `"${name}", what is left of it without the enum's name, is not a name`;
      throw new WeirError('INVALID_ARGUMENT', `Cannot lay out ${entry.name}: ${problem}`);
    }
    const text = texts.get(entry.name);
    return { name, value, ...(text === undefined ? {} : { text }) };
  });
  const twice = entries.find((entry, index) => entries.findIndex((other) => other.name === entry.name) !== index);
  if (twice !== undefined) {
    throw new WeirError('INVALID_ARGUMENT', `Cannot lay out enum ${type.name}: two enumerators become "${twice.name}"`);
  }
  return { name: type.name, entries };
}

/** Cuts the leading tokens that repeat the enum's own name: `DROP_POLICY_DENIED` of `drop_reason` is `POLICY_DENIED`. */
function withoutPrefix(name: string, prefix: readonly string[]): string {
  const tokens = name.split('_');
  const repeated = tokens.findIndex((token, index) => token.toUpperCase() !== prefix[index]);
  return (repeated === -1 ? [] : tokens.slice(repeated)).join('_');
}

function enumeratorTexts(btf: Btf): Map<string, string> {
  const texts = new Map<string, string>();
  for (const section of btf.sectionNames()) {
    for (const variable of btf.variables(section)) {
      const text = variable.name.startsWith('doc_') ? btf.doc(variable.id) : undefined;
      if (text !== undefined) texts.set(variable.name.slice('doc_'.length), text);
    }
  }
  return texts;
}
