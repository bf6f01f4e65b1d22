// SPDX-License-Identifier: Apache-2.0
// The kinds of BTF as the kernel documents them, one interface per shape.

/** A type that only names, qualifies or points at another type. */
export interface BtfReference {
  readonly kind: 'pointer' | 'typedef' | 'volatile' | 'const' | 'restrict' | 'function' | 'typeTag';
  readonly name: string;
  readonly type: number;
}

/** An integer, a character or a boolean. */
export interface BtfInt {
  readonly kind: 'int';
  readonly name: string;
  readonly size: number;
  readonly bits: number;
  readonly bitOffset: number;
  readonly encoding: 'unsigned' | 'signed' | 'char' | 'bool';
}

/** `length` elements of one type. */
export interface BtfArray {
  readonly kind: 'array';
  readonly element: number;
  readonly length: number;
}

/** One member of a struct or union. */
export interface BtfMember {
  readonly name: string;
  readonly type: number;
  readonly bitOffset: number;
  /** 0 for a member that is not a bitfield. */
  readonly bitfieldSize: number;
}

/** A struct or a union. */
export interface BtfComposite {
  readonly kind: 'struct' | 'union';
  readonly name: string;
  readonly size: number;
  readonly members: readonly BtfMember[];
}

/** An enum of 32 or 64 bits. */
export interface BtfEnum {
  readonly kind: 'enum';
  readonly name: string;
  readonly size: number;
  readonly values: readonly { readonly name: string; readonly value: bigint }[];
}

/** A global variable. */
export interface BtfVariable {
  readonly kind: 'variable';
  readonly name: string;
  readonly type: number;
}

/** The variables of one section, by type id. */
export interface BtfDataSection {
  readonly kind: 'dataSection';
  readonly name: string;
  readonly variables: readonly number[];
}

/** A sentence attached to a type or variable, or with `component` ≥ 0 to one member of a struct. */
export interface BtfDeclTag {
  readonly kind: 'declTag';
  readonly name: string;
  readonly type: number;
  readonly component: number;
}

/** Kinds that occur, but say nothing about layouts. */
export interface BtfOpaque {
  readonly kind: 'void' | 'forward' | 'functionProto' | 'float';
  readonly name: string;
}

/** Any type. */
export type BtfType =
  BtfReference | BtfInt | BtfArray | BtfComposite | BtfEnum | BtfVariable | BtfDataSection | BtfDeclTag | BtfOpaque;
