// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import type { Btf } from './btf.ts';
import type { BtfMember, BtfVariable } from './btf-types.ts';
import type { MapLayout, MapShape } from './layout.ts';
import type { TypeReader } from './type-reader.ts';

/** `enum bpf_map_type` of the kernel, by number, as bpftool names them. */
const mapTypes = [
  ...['unspec', 'hash', 'array', 'prog_array', 'perf_event_array', 'percpu_hash', 'percpu_array', 'stack_trace'],
  ...['cgroup_array', 'lru_hash', 'lru_percpu_hash', 'lpm_trie', 'array_of_maps', 'hash_of_maps', 'devmap', 'sockmap'],
  ...['cpumap', 'xskmap', 'sockhash', 'cgroup_storage', 'reuseport_sockarray', 'percpu_cgroup_storage', 'queue'],
  ...['stack', 'sk_storage', 'devmap_hash', 'struct_ops', 'ringbuf', 'inode_storage', 'task_storage', 'bloom_filter'],
  ...['user_ringbuf', 'cgrp_storage', 'arena'],
];

const numberAttributes = ['type', 'max_entries', 'map_flags', 'key_size', 'value_size', 'pinning', 'numa_node'];

/** Reads every map of the `.maps` section. */
export function readMaps(btf: Btf, types: TypeReader): MapLayout[] {
  return btf.variables('.maps').map((variable) => readMap(variable, { btf, types }));
}

interface Context {
  readonly btf: Btf;
  readonly types: TypeReader;
}

function readMap(variable: BtfVariable & { readonly id: number }, context: Context): MapLayout {
  const { name } = variable;
  const [, subject, version] = /^weir_([a-z0-9_]+)_v([0-9]+)$/.exec(name) ?? [];
  if (subject === undefined) {
    throw new WeirError('INVALID_ARGUMENT', `Cannot lay out map "${name}": expected a name weir_<subject>_v<N>`);
  }
  const doc = context.btf.doc(variable.id);
  return {
    name,
    subject,
    version: Number(version),
    ...readShape(variable.type, name, context),
    ...(doc === undefined ? {} : { doc }),
  };
}

function readShape(typeId: number, map: string, { btf, types }: Context): MapShape {
  const { type } = btf.resolve(typeId);
  const members = type.kind === 'struct' ? type.members : [];
  const member = (name: string): BtfMember | undefined => members.find((candidate) => candidate.name === name);
  const unknown = members.find(({ name }) => ![...numberAttributes, 'key', 'value', 'values'].includes(name));
  if (unknown !== undefined) {
    throw new WeirError('NOT_SUPPORTED', `Cannot lay out map "${map}": unknown attribute "${unknown.name}"`);
  }
  const pointee = (name: string): number | undefined => {
    const found = member(name);
    const pointer = found === undefined ? undefined : btf.resolve(found.type).type;
    return pointer?.kind === 'pointer' ? pointer.type : undefined;
  };
  const number = (name: string): number => {
    const target = pointee(name);
    const array = target === undefined ? undefined : btf.resolve(target).type;
    return array?.kind === 'array' ? array.length : 0;
  };
  const part = (name: 'key' | 'value'): Partial<MapShape> => {
    const target = pointee(name);
    if (target === undefined) return {};
    const size = types.sizeOf(target);
    const layout = types.value(target, `the ${name} of map "${map}"`);
    return name === 'key' ? { key: layout, keySize: size } : { value: layout, valueSize: size };
  };
  const inner = readInner({ typeId: member('values')?.type, map, context: { btf, types } });
  return {
    type: mapTypes[number('type')] ?? 'unspec',
    keySize: number('key_size'),
    // A map in a map is written as the four bytes of a descriptor.
    valueSize: inner === undefined ? number('value_size') : 4,
    maxEntries: number('max_entries'),
    flags: number('map_flags'),
    ...part('key'),
    ...part('value'),
    ...(inner === undefined ? {} : { inner }),
  };
}

/** `values` is an array of pointers: to a map for a map of maps, to a function for a program array. */
function readInner(values: { typeId: number | undefined; map: string; context: Context }): MapShape | undefined {
  if (values.typeId === undefined) return undefined;
  const { btf } = values.context;
  const array = btf.resolve(values.typeId).type;
  const pointer = array.kind === 'array' ? btf.resolve(array.element).type : undefined;
  if (pointer?.kind !== 'pointer' || btf.resolve(pointer.type).type.kind !== 'struct') return undefined;
  return readShape(pointer.type, `${values.map} (inner)`, values.context);
}
