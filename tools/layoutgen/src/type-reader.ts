// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import type { Btf, ResolvedType } from './btf.ts';
import type { BtfComposite, BtfEnum, BtfInt, BtfMember } from './btf-types.ts';
import type { EnumLayout, FieldLayout, StructLayout, ValueType } from './layout.ts';
import { readEnumLayout } from './enum-reader.ts';

/** Collects the structs and enums that are asked for, with everything they contain. */
export interface TypeReader {
  /** The layout of one value. `where` names it in errors, for instance `struct ct_key, member "ports"`. */
  value(typeId: number, where: string): ValueType;
  /** Bytes of a value of this type. */
  sizeOf(typeId: number): number;
  /** Exports the struct or enum that a variable marks. */
  export(typeId: number, variable: string): void;
  /** In the order they were first needed: a struct stands after those it contains. */
  readonly structs: readonly StructLayout[];
  readonly enums: readonly EnumLayout[];
}

interface Collection {
  readonly btf: Btf;
  readonly structs: Map<string, StructLayout>;
  readonly enums: Map<string, EnumLayout>;
}

/** Starts with nothing collected. */
export function createTypeReader(btf: Btf): TypeReader {
  const into: Collection = { btf, structs: new Map(), enums: new Map() };
  return {
    value: (typeId, where) => readValue(into, typeId, where),
    sizeOf: (typeId) => sizeOf(btf, typeId),
    export: (typeId, variable) => {
      const resolved = btf.resolve(typeId);
      const target = resolved.type.kind === 'pointer' ? btf.resolve(resolved.type.type) : resolved;
      if (target.type.kind === 'enum') exportEnum(into, target.type, variable.replace(/^export_/, ''));
      else if (target.type.kind === 'struct') exportStruct(into, target, `variable ${variable}`);
      else refuse(`variable ${variable}`, `expected a struct or an enum, found ${target.type.kind}`);
    },
    get structs() {
      return [...into.structs.values()];
    },
    get enums() {
      return [...into.enums.values()];
    },
  };
}

function refuse(where: string, what: string): never {
  throw new WeirError('INVALID_ARGUMENT', `Cannot lay out ${where}: ${what}`);
}

function sizeOf(btf: Btf, typeId: number): number {
  const { type } = btf.resolve(typeId);
  if (type.kind === 'array') return type.length * sizeOf(btf, type.element);
  if (type.kind === 'pointer') return 8;
  return 'size' in type ? type.size : 0;
}

/** Length of a `__u8` array, or of a struct or union that is nothing but one. */
function bytesIn(btf: Btf, typeId: number): number | undefined {
  const { type } = btf.resolve(typeId);
  switch (type.kind) {
    case 'array': {
      const element = btf.resolve(type.element).type;
      return element.kind === 'int' && element.size === 1 && element.encoding !== 'bool' ? type.length : undefined;
    }
    case 'struct': {
      const [only, more] = type.members;
      return only === undefined || more !== undefined ? undefined : bytesIn(btf, only.type);
    }
    case 'union':
      return type.members.map((member) => bytesIn(btf, member.type)).find((length) => length === type.size);
    default:
      return undefined;
  }
}

function readValue(into: Collection, typeId: number, where: string): ValueType {
  const bytes = bytesIn(into.btf, typeId);
  if (bytes !== undefined) return bytes > 0 ? { kind: 'bytes', length: bytes } : refuse(where, 'it has no length');
  const resolved = into.btf.resolve(typeId);
  const { type } = resolved;
  switch (type.kind) {
    case 'int':
      return integer(type, resolved.typedefs, where);
    case 'enum':
      exportEnum(into, type);
      return integerOf(type.size * 8, { signed: type.values.some((entry) => entry.value < 0n), bigEndian: false });
    case 'struct':
      return exportStruct(into, resolved, where);
    case 'union':
      return refuse(where, 'a union has no one meaning; only one that spans an array of __u8 can be read');
    case 'pointer':
      return refuse(where, 'a pointer means nothing outside the kernel');
    default:
      return refuse(where, `${type.kind} is not supported`);
  }
}

function exportEnum({ btf, enums }: Collection, type: BtfEnum, fallbackName = ''): void {
  const name = type.name === '' ? fallbackName : type.name;
  if (name !== '' && !enums.has(name)) enums.set(name, readEnumLayout(btf, { ...type, name }));
}

function exportStruct(into: Collection, resolved: ResolvedType, where: string): ValueType {
  const { id, type, typedefs } = resolved;
  if (type.kind !== 'struct') return refuse(where, `expected a struct, found ${type.kind}`);
  const name = type.name === '' ? (typedefs.at(-1) ?? '') : type.name;
  if (name === '') return refuse(where, 'its struct has no name; give it one');
  if (!into.structs.has(name)) {
    const fields = readFields(into, { id, type, label: `struct ${name}` });
    checkHoles({ name, size: type.size, fields });
    const doc = into.btf.doc(id);
    into.structs.set(name, { name, size: type.size, fields, ...(doc === undefined ? {} : { doc }) });
  }
  return { kind: 'struct', name, size: type.size };
}

/** The struct whose members are read. */
interface Owner {
  readonly id: number;
  readonly type: BtfComposite;
  readonly label: string;
}

function readFields(into: Collection, { id, type, label }: Owner): FieldLayout[] {
  return type.members.flatMap((member, index) => {
    const where = `${label}, member "${member.name}"`;
    if (member.bitfieldSize > 0 || member.bitOffset % 8 !== 0) return refuse(where, 'bitfields are not supported');
    const offset = member.bitOffset / 8;
    if (member.name !== '') {
      const doc = into.btf.doc(id, index);
      return [{ ...readField(into, member, where), offset, ...(doc === undefined ? {} : { doc }) }];
    }
    const anonymous = into.btf.resolve(member.type);
    if (anonymous.type.kind !== 'struct') return refuse(label, 'anonymous unions are not supported');
    const inner = readFields(into, { id: anonymous.id, type: anonymous.type, label });
    return inner.map((field) => ({ ...field, offset: offset + field.offset }));
  });
}

function readField(into: Collection, member: BtfMember, where: string): Omit<FieldLayout, 'offset'> {
  const { btf } = into;
  const padding = /^_*(pad|padding|reserved)\d*$/.test(member.name);
  const common = { name: member.name, size: sizeOf(btf, member.type), padding };
  const { type } = btf.resolve(member.type);
  if (type.kind !== 'array' || bytesIn(btf, member.type) !== undefined) {
    return { ...common, type: readValue(into, member.type, where) };
  }
  if (type.length === 0) return refuse(where, 'flexible arrays are not supported');
  if (bytesIn(btf, type.element) !== undefined) return refuse(where, 'arrays of byte arrays are not supported');
  return { ...common, type: readValue(into, type.element, where), count: type.length };
}

function integer(type: BtfInt, typedefs: readonly string[], where: string): ValueType {
  if (type.bitOffset !== 0 || type.bits !== type.size * 8) return refuse(where, 'bitfields are not supported');
  if (type.encoding === 'bool') return { kind: 'boolean' };
  const bigEndian = typedefs.some((name) => /^__be(16|32|64)$/.test(name));
  return integerOf(type.bits, { signed: type.encoding === 'signed', bigEndian }) ?? refuse(where, 'odd integer size');
}

function integerOf(bits: number, form: { signed: boolean; bigEndian: boolean }): ValueType {
  if (bits !== 8 && bits !== 16 && bits !== 32 && bits !== 64) return refuse('an integer', `${bits} bits are too many`);
  return { kind: 'integer', bits, ...form };
}

/** House rule: every byte of a struct is declared, so that a map key never carries what the stack happened to hold. */
function checkHoles({ name, size, fields }: { name: string; size: number; fields: readonly FieldLayout[] }): void {
  let end = 0;
  let previous = 'its start';
  for (const field of [...fields, { name: 'its end', offset: size, size: 0 }]) {
    if (field.offset > end) {
      const hole = `${field.offset - end} bytes of implicit padding at offset ${end}, after ${previous}`;
      refuse(`struct ${name}`, `${hole}; declare them as a member "pad"`);
    }
    end = field.offset + field.size;
    previous = `member "${field.name}"`;
  }
}
