// SPDX-License-Identifier: Apache-2.0
import { assert } from '@weir/errors';
import { hubbleDescriptors } from '@weir/proto';

/** One field of a message, by the name that the contract gives it. */
export interface FieldSchema {
  /** As the contract spells it: `pod_name`, `IP`. */
  readonly name: string;
  /** As the property of a message is called: `podName`, `IP`. */
  readonly property: string;
  readonly repeated: boolean;
  readonly type: FieldType;
}

/** What a field holds. */
export type FieldType =
  | { readonly kind: 'scalar'; readonly name: string }
  | {
      readonly kind: 'enum';
      readonly values: Readonly<Record<string, number>>;
      readonly names: ReadonlyMap<number, string>;
    }
  | { readonly kind: 'message'; readonly name: string; readonly fields: () => ReadonlyMap<string, FieldSchema> };

interface Node {
  readonly nested?: Readonly<Record<string, Node>>;
  readonly fields?: Readonly<Record<string, { readonly type: string; readonly rule?: string }>>;
  readonly values?: Readonly<Record<string, number>>;
}

const root = hubbleDescriptors as unknown as Node;
const scalars = new Set(['string', 'bytes', 'bool', 'double', 'float', 'int32', 'int64', 'uint32', 'uint64']);

/** The name of a field as JavaScript has it; the rule of protobufjs. */
export const propertyOf = (name: string): string =>
  name.charAt(0) + name.slice(1).replaceAll(/_([a-z])(?=[a-z]|$)/g, (_, letter: string) => letter.toUpperCase());

const isType = (node: Node | undefined): boolean => node?.fields !== undefined || node?.values !== undefined;

function find(path: readonly string[]): Node | undefined {
  return path.reduce<Node | undefined>((node, name) => node?.nested?.[name], root);
}

/** The type that a name means in a scope, from the innermost outwards. */
function resolve(name: string, scope: readonly string[]): { readonly path: readonly string[]; readonly node: Node } {
  for (let depth = scope.length; depth >= 0; depth--) {
    const path = [...scope.slice(0, depth), ...name.split('.')];
    const node = find(path);
    if (node !== undefined && isType(node)) return { path, node };
  }
  assert(false, `the contract knows the type ${name}`);
}

function typeOf(name: string, scope: readonly string[]): FieldType {
  if (scalars.has(name)) return { kind: 'scalar', name };
  const { path, node } = resolve(name, scope);
  const { values } = node;
  if (values !== undefined) {
    return { kind: 'enum', values, names: new Map(Object.entries(values).map(([key, number]) => [number, key])) };
  }
  const full = path.join('.');
  return { kind: 'message', name: full, fields: () => messageSchema(full) };
}

const known = new Map<string, ReadonlyMap<string, FieldSchema>>();

/** The fields of a message by name. The message is one of `flow`, `observer`, `peer`, `relay` or a well-known one. */
export function messageSchema(message: string): ReadonlyMap<string, FieldSchema> {
  const before = known.get(message);
  if (before !== undefined) return before;
  const path = message.split('.');
  const { fields } = find(path) ?? {};
  assert(fields !== undefined, `the contract knows the message ${message}`);
  const schema = new Map(
    Object.entries(fields).map(([name, { type, rule }]) => [
      name,
      { name, property: propertyOf(name), repeated: rule === 'repeated', type: typeOf(type, path) },
    ]),
  );
  known.set(message, schema);
  return schema;
}
