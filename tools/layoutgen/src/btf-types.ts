// SPDX-License-Identifier: Apache-2.0
// The kinds of BTF as the kernel documents them, one interface per shape.

/** A type that only names, qualifies or points at another type. */
export interface BtfReference {
  readonly kind: 'pointer' | 'typedef' | 'volatile' | 'const' | 'restrict' | 'function' | 'typeTag';
  readonly name: string;
  readonly type: number;
}

export interface BtfInt {
  readonly kind: 'int';
  readonly name: string;
  readonly size: number;
  readonly bits: number;
  readonly bitOffset: number;
  readonly encoding: 'unsigned' | 'signed' | 'char' | 'bool';
}

export interface BtfArray {
  readonly kind: 'array';
  readonly element: number;
  readonly length: number;
}

export interface BtfMember {
  readonly name: string;
  readonly type: number;
  readonly bitOffset: number;
  /** 0 for a member that is not a bitfield. */
  readonly bitfieldSize: number;
}

export interface BtfComposite {
  readonly kind: 'struct' | 'union';
  readonly name: string;
  readonly size: number;
  readonly members: readonly BtfMember[];
}

export interface BtfEnum {
  readonly kind: 'enum';
  readonly name: string;
  readonly size: number;
  readonly values: readonly { readonly name: string; readonly value: bigint }[];
}

export interface BtfVariable {
  readonly kind: 'variable';
  readonly name: string;
  readonly type: number;
}

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

export type BtfType =
  BtfReference | BtfInt | BtfArray | BtfComposite | BtfEnum | BtfVariable | BtfDataSection | BtfDeclTag | BtfOpaque;
