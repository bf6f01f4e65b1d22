// SPDX-License-Identifier: Apache-2.0
// What an object says about its data, free of BTF and of TypeScript: the plain value between reading and writing.

/** A single value: how it lies in memory is how its TypeScript type is chosen. */
export type ValueType =
  | { readonly kind: 'integer'; readonly bits: 8 | 16 | 32 | 64; readonly signed: boolean; readonly bigEndian: boolean }
  | { readonly kind: 'boolean' }
  /** An array of `__u8`, bare or wrapped in a struct or union of its own. */
  | { readonly kind: 'bytes'; readonly length: number }
  /** A struct with a codec of its own, by its C name. */
  | { readonly kind: 'struct'; readonly name: string; readonly size: number };

/** One member of a struct. `name` is the C name. */
export interface FieldLayout {
  readonly name: string;
  readonly type: ValueType;
  /** Bytes from the start of the struct. */
  readonly offset: number;
  /** Bytes, of all elements together. */
  readonly size: number;
  /** Elements of an array of anything but bytes. */
  readonly count?: number;
  readonly padding: boolean;
  readonly doc?: string;
}

/** A struct with every byte accounted for. */
export interface StructLayout {
  readonly name: string;
  readonly size: number;
  readonly fields: readonly FieldLayout[];
  readonly doc?: string;
}

/** An enum; the names of its entries have lost what repeats its own. */
export interface EnumLayout {
  readonly name: string;
  readonly entries: readonly { readonly name: string; readonly value: number; readonly text?: string }[];
}

/** What a map is made of; a map inside a map has no name of its own. */
export interface MapShape {
  /** The kernel's name of the type as bpftool prints it, for instance `lru_hash`. */
  readonly type: string;
  readonly keySize: number;
  readonly valueSize: number;
  readonly key?: ValueType;
  readonly value?: ValueType;
  readonly maxEntries: number;
  readonly flags: number;
  readonly inner?: MapShape;
}

/** A map of the `.maps` section. */
export interface MapLayout extends MapShape {
  readonly name: string;
  /** `ct` of `weir_ct_v1`. */
  readonly subject: string;
  /** 1 of `weir_ct_v1`. */
  readonly version: number;
  readonly doc?: string;
}

/** A `const volatile` variable. */
export interface ConfigLayout {
  readonly name: string;
  readonly type: ValueType;
  /** Its initialiser, in the bytes of its type. */
  readonly initial: Uint8Array;
  readonly doc?: string;
}

/** All that one object exports. */
export interface Layout {
  readonly structs: readonly StructLayout[];
  readonly enums: readonly EnumLayout[];
  readonly maps: readonly MapLayout[];
  readonly config: readonly ConfigLayout[];
}
