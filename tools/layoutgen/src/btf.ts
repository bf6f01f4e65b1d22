// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import type { BtfType, BtfVariable } from './btf-types.ts';

/** A type without its names and qualifiers, and the typedef names that were passed on the way. */
export interface ResolvedType {
  readonly id: number;
  readonly type: BtfType;
  readonly typedefs: readonly string[];
  readonly constVolatile: boolean;
}

/** Questions to the types of one object. */
export interface Btf {
  type(id: number): BtfType;
  /** Follows typedefs, qualifiers and type tags to what they stand for. */
  resolve(id: number): ResolvedType;
  /** The variables of a data section, in order; none when there is no such section. */
  variables(section: string): readonly (BtfVariable & { readonly id: number })[];
  /** The sections that hold variables. */
  sectionNames(): readonly string[];
  /** The sentence attached to a type or variable, or to one member of a struct. */
  doc(id: number, component?: number): string | undefined;
}

/** Wraps parsed types. */
export function createBtf(types: readonly BtfType[]): Btf {
  const docs = new Map<string, string>();
  for (const type of types) {
    if (type.kind === 'declTag') docs.set(`${type.type}:${type.component}`, type.name);
  }
  const typeOf = (id: number): BtfType => {
    const type = types[id];
    if (type === undefined) throw new WeirError('INVALID_ARGUMENT', `BTF names type ${id}, but has ${types.length}`);
    return type;
  };
  const sections = types.filter((type) => type.kind === 'dataSection');
  return {
    type: typeOf,
    resolve: (id) => resolve(id, typeOf),
    variables: (section) => {
      const ids = sections.find((candidate) => candidate.name === section)?.variables ?? [];
      return ids.flatMap((id) => {
        const type = typeOf(id);
        return type.kind === 'variable' ? [{ ...type, id }] : [];
      });
    },
    sectionNames: () => sections.map((section) => section.name),
    doc: (id, component = -1) => docs.get(`${id}:${component}`),
  };
}

function resolve(start: number, typeOf: (id: number) => BtfType): ResolvedType {
  const typedefs: string[] = [];
  const qualifiers = new Set<string>();
  let id = start;
  let type = typeOf(id);
  while (
    type.kind === 'typedef' ||
    type.kind === 'const' ||
    type.kind === 'volatile' ||
    type.kind === 'restrict' ||
    type.kind === 'typeTag'
  ) {
    if (type.kind === 'typedef') typedefs.push(type.name);
    else qualifiers.add(type.kind);
    id = type.type;
    type = typeOf(id);
  }
  return { id, type, typedefs, constVolatile: qualifiers.has('const') && qualifiers.has('volatile') };
}
