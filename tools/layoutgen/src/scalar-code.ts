// SPDX-License-Identifier: Apache-2.0
import type { ValueType } from './layout.ts';
import { camelCase, pascalCase } from './names.ts';

/** Pieces of TypeScript for one kind of value. `at` is an expression: a byte offset in the view. */
export interface ValueCode {
  /** Its TypeScript type. */
  readonly type: string;
  /** Expression that reads it; what it returns owns its memory. */
  read(view: string, at: string): string;
  /** Statement that checks and writes `value`; `label` is quoted in the error. */
  write(parts: { view: string; at: string; value: string; label: string }): string;
  /** Name of the codec that moves it alone: a constant, or a call. */
  readonly codec: string;
}

/** How a value of this type is read and written. */
export function valueCode(type: ValueType): ValueCode {
  switch (type.kind) {
    case 'boolean':
      return {
        type: 'boolean',
        codec: 'bool',
        read: (view, at) => `${view}.getUint8(${at}) !== 0`,
        write: ({ view, at, value }) => `${view}.setUint8(${at}, ${value} ? 1 : 0);`,
      };
    case 'bytes':
      return {
        type: 'Uint8Array',
        codec: `byteArray(${type.length})`,
        read: (view, at) => `bytesAt(${view}, ${at}, ${type.length}).slice()`,
        write: ({ view, at, value, label }) =>
          `putBytes(${view}, ${at}, exactly('${label}', ${value}, ${type.length}));`,
      };
    case 'struct': {
      const codec = camelCase(type.name);
      return {
        type: pascalCase(type.name),
        codec,
        read: (view, at) => `${codec}.decode(${view}, ${at})`,
        write: ({ view, at, value }) => `${codec}.encode(${view}, ${at}, ${value});`,
      };
    }
    case 'integer':
      return integerCode(type);
  }
}

function integerCode({ bits, signed, bigEndian }: Extract<ValueType, { kind: 'integer' }>): ValueCode {
  const check = `${signed ? 'int' : 'uint'}${bits}`;
  const method = `${bits === 64 ? 'Big' : ''}${signed ? 'Int' : 'Uint'}${bits}`;
  const order = bits === 8 ? '' : `, ${!bigEndian}`;
  return {
    type: bits === 64 ? 'bigint' : 'number',
    codec: bigEndian ? `be${bits}` : `${signed ? 's' : 'u'}${bits}`,
    read: (view, at) => `${view}.get${method}(${at}${order})`,
    write: ({ view, at, value, label }) => `${view}.set${method}(${at}, ${check}('${label}', ${value})${order});`,
  };
}
