// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import type { BtfComposite, BtfEnum, BtfInt, BtfReference, BtfType } from './btf-types.ts';
import { readString } from './elf.ts';

const MAGIC = 0xeb9f;
const HEADER_BYTES = 24;

const references: Readonly<Record<number, BtfReference['kind']>> = {
  2: 'pointer',
  8: 'typedef',
  9: 'volatile',
  10: 'const',
  11: 'restrict',
  12: 'function',
  18: 'typeTag',
};

/** The words of the type section one after the other, and its strings. */
class Reader {
  readonly view: DataView;
  readonly strings: Uint8Array;
  at = 0;

  constructor(view: DataView, strings: Uint8Array) {
    this.view = view;
    this.strings = strings;
  }

  u32(): number {
    this.at += 4;
    return this.view.getUint32(this.at - 4, true);
  }

  string(): string {
    return readString(this.strings, this.u32());
  }

  times<T>(count: number, read: () => T): T[] {
    return Array.from({ length: count }, read);
  }
}

/** What stands in front of every type: its name, kind, count, flag, and a size or a type id. */
interface TypeHeader {
  readonly name: string;
  readonly kind: number;
  readonly count: number;
  readonly flag: boolean;
  readonly sizeOrType: number;
}

/** All types of a `.BTF` section, in order; the index is the type id, 0 is `void`. */
export function parseBtf(section: Uint8Array): BtfType[] {
  const view = new DataView(section.buffer, section.byteOffset, section.byteLength);
  if (section.byteLength < HEADER_BYTES || view.getUint16(0, true) !== MAGIC) {
    throw new WeirError('INVALID_ARGUMENT', 'Cannot read the .BTF section: expected little-endian BTF');
  }
  const body = view.getUint32(4, true);
  const typesStart = body + view.getUint32(8, true);
  const typesSize = view.getUint32(12, true);
  const stringsStart = body + view.getUint32(16, true);
  const strings = section.subarray(stringsStart, stringsStart + view.getUint32(20, true));
  const reader = new Reader(new DataView(section.buffer, section.byteOffset + typesStart, typesSize), strings);
  const types: BtfType[] = [{ kind: 'void', name: 'void' }];
  while (reader.at < typesSize) types.push(readType(reader));
  return types;
}

function readHeader(reader: Reader): TypeHeader {
  const name = reader.string();
  const info = reader.u32();
  return {
    name,
    kind: (info >>> 24) & 0x1f,
    count: info & 0xffff,
    flag: info >>> 31 === 1,
    sizeOrType: reader.u32(),
  };
}

function readType(reader: Reader): BtfType {
  const header = readHeader(reader);
  const { name, count, sizeOrType } = header;
  const reference = references[header.kind];
  if (reference !== undefined) return { kind: reference, name, type: sizeOrType };
  switch (header.kind) {
    case 1:
      return readInt(reader, header);
    case 3: {
      const element = reader.u32();
      reader.u32();
      return { kind: 'array', element, length: reader.u32() };
    }
    case 4:
    case 5:
      return readComposite(reader, header);
    case 6:
    case 19:
      return readEnum(reader, header);
    case 7:
      return { kind: 'forward', name };
    case 13:
      reader.at += 8 * count;
      return { kind: 'functionProto', name };
    case 14:
      reader.at += 4;
      return { kind: 'variable', name, type: sizeOrType };
    case 15:
      return { kind: 'dataSection', name, variables: reader.times(count, () => readSectionVariable(reader)) };
    case 16:
      return { kind: 'float', name };
    case 17:
      return { kind: 'declTag', name, type: sizeOrType, component: reader.u32() | 0 };
    default:
      throw new WeirError('NOT_SUPPORTED', `Cannot read BTF kind ${header.kind} of "${name}"`);
  }
}

const encodings: Readonly<Record<number, BtfInt['encoding']>> = { 0: 'unsigned', 1: 'signed', 2: 'char', 4: 'bool' };

function readInt(reader: Reader, { name, sizeOrType }: TypeHeader): BtfInt {
  const word = reader.u32();
  const encoding = encodings[(word >>> 24) & 0xf] ?? 'signed';
  return { kind: 'int', name, size: sizeOrType, bits: word & 0xff, bitOffset: (word >>> 16) & 0xff, encoding };
}

function readComposite(reader: Reader, { name, kind, count, flag, sizeOrType }: TypeHeader): BtfComposite {
  const members = reader.times(count, () => {
    const member = { name: reader.string(), type: reader.u32() };
    const offset = reader.u32();
    // With the flag, the top byte holds the width of a bitfield; without it all 32 bits are the offset.
    return flag
      ? { ...member, bitOffset: offset & 0xffffff, bitfieldSize: offset >>> 24 }
      : { ...member, bitOffset: offset, bitfieldSize: 0 };
  });
  return { kind: kind === 4 ? 'struct' : 'union', name, size: sizeOrType, members };
}

function readEnum(reader: Reader, { name, kind, count, flag, sizeOrType }: TypeHeader): BtfEnum {
  const values = reader.times(count, () => {
    const valueName = reader.string();
    const low = BigInt(reader.u32());
    const raw = kind === 19 ? low | (BigInt(reader.u32()) << 32n) : low;
    return { name: valueName, value: flag ? BigInt.asIntN(kind === 19 ? 64 : 32, raw) : raw };
  });
  return { kind: 'enum', name, size: sizeOrType, values };
}

function readSectionVariable(reader: Reader): number {
  const variable = reader.u32();
  // Offset and size: an unlinked object has zeros there, the symbol table has the truth.
  reader.at += 8;
  return variable;
}
