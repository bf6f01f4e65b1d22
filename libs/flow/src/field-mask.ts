// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import type { Flow } from './filter/predicate.ts';
import { messageSchema } from './json/schema.ts';

/** Which fields are kept, by property; `true` keeps all of a field. */
type Tree = Map<string, Tree | true>;

const invalid = (path: string): WeirError =>
  new WeirError('INVALID_ARGUMENT', 'invalid fieldmask', { details: { path } });

function add(tree: Tree, path: string): void {
  let branch = tree;
  let schema = messageSchema('flow.Flow');
  const names = path.split('.');
  for (const [index, name] of names.entries()) {
    const field = schema.get(name);
    if (field === undefined) throw invalid(path);
    if (index === names.length - 1) return void branch.set(field.property, true);
    if (field.type.kind !== 'message' || field.repeated) throw invalid(path);
    schema = field.type.fields();
    const next = branch.get(field.property) ?? new Map<string, Tree | true>();
    // The whole of it is kept already.
    if (next === true) return;
    branch.set(field.property, next);
    branch = next;
  }
}

function copy(from: Readonly<Record<string, unknown>>, tree: Tree): Record<string, unknown> {
  const kept: Record<string, unknown> = {};
  for (const [property, below] of tree) {
    const value = from[property];
    if (below === true) {
      if (value !== undefined) kept[property] = value;
    } else kept[property] = copy((value ?? {}) as Record<string, unknown>, below);
  }
  return kept;
}

/** Cuts flows down to what was asked for. */
export type FieldMask = (flow: Flow) => Flow;

/**
 * Compiles a mask of paths like `source.pod_name` and `IP`; without any, nothing is cut, and there is none. INVALID_ARGUMENT
 * `invalid fieldmask` for a path that flows do not have. A path into a part that a flow has not makes that part, empty.
 */
export function compileFieldMask(paths: readonly string[] | null | undefined): FieldMask | undefined {
  if (!paths?.length) return undefined;
  const tree: Tree = new Map();
  for (const path of paths.toSorted()) add(tree, path);
  return (flow) => copy(flow as Readonly<Record<string, unknown>>, tree);
}
