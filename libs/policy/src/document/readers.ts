// SPDX-License-Identifier: Apache-2.0
import type { DocumentNode, ListNode, MapNode } from './document-node.ts';
import { fieldPath, fieldPlace, itemPlace, type Place, reportProblem } from './place.ts';
import { describeNode } from './document-node.ts';
import { unknownFieldMessage } from './unknown-field.ts';

/** Reads the value at a place, or reports all that is wrong with it and gives undefined. */
export type Reader<T> = (place: Place) => T | undefined;

function isAt<K extends DocumentNode['kind']>(
  place: Place,
  kind: K,
): place is Place<Extract<DocumentNode, { kind: K }>> {
  return place.node.kind === kind;
}

const notA = (place: Place, expected: string): undefined =>
  reportProblem(place, `${describeNode(place.node)} is not ${expected}`);

/** Takes a mapping as it is; anything else is a problem. `expected` completes "… is not". */
export function mapAt(place: Place, expected = 'a mapping'): Place<MapNode> | undefined {
  return isAt(place, 'map') ? place : notA(place, expected);
}

/** Takes a list as it is; anything else, also nothing, is a problem. */
export function listAt(place: Place): Place<ListNode> | undefined {
  if (isAt(place, 'list')) return place;
  // An absent list and an empty one mean different things, and null could be either.
  const isNull = place.node.kind === 'scalar' && place.node.value === null;
  return isNull
    ? reportProblem(place, 'null is not a list; leave the field out, or write [] for no item')
    : notA(place, 'a list');
}

/** Reads a string. A number or boolean is refused with the advice to quote it, as Kubernetes refuses it. */
export const readString: Reader<string> = (place) => {
  const { node } = place;
  if (node.kind === 'scalar' && typeof node.value === 'string') return node.value;
  if (node.kind === 'scalar' && node.value !== null) {
    return reportProblem(
      place,
      `${node.text} is a ${typeof node.value}, expected a string; write "${node.text}" in quotes`,
    );
  }
  return notA(place, 'a string');
};

/** Reads `true` or `false`. */
export const readBoolean: Reader<boolean> = (place) => {
  const { node } = place;
  return node.kind === 'scalar' && typeof node.value === 'boolean' ? node.value : notA(place, 'true or false');
};

/** Makes a reader of strings that keep a limit, in UTF-16 code units. */
export function textReader(charactersMax: number): Reader<string> {
  return (place) => {
    const text = readString(place);
    if (text === undefined || text.length <= charactersMax) return text;
    return reportProblem(place, `Text has ${text.length} characters; expected at most ${charactersMax}`);
  };
}

/** Makes a reader of one of some words. */
export function wordReader<W extends string>(words: readonly W[], noun: string): Reader<W> {
  return (place) => {
    const text = readString(place);
    if (text === undefined) return undefined;
    const word = words.find((candidate) => candidate === text);
    return word ?? reportProblem(place, `"${text}" is not ${noun} (one of ${words.join(', ')})`);
  };
}

/** How long a list may be. */
export interface ListLimits {
  readonly itemsMax?: number;
  /** Why an empty list is refused; without it, it is accepted. */
  readonly emptyProblem?: string;
}

/** Makes a reader of lists. All items are read, so that all of their problems are reported. */
export function listReader<T>(item: Reader<T>, limits: ListLimits = {}): Reader<readonly T[]> {
  return (place) => {
    const list = listAt(place);
    if (list === undefined) return undefined;
    const { items } = list.node;
    if (items.length === 0 && limits.emptyProblem !== undefined) return reportProblem(place, limits.emptyProblem);
    if (items.length > (limits.itemsMax ?? Infinity)) {
      return reportProblem(place, `List has ${items.length} items; expected at most ${limits.itemsMax}`);
    }
    const values = items.map((node, index) => item(itemPlace(place, node, index)));
    const read = values.filter((value) => value !== undefined);
    return read.length === values.length ? read : undefined;
  };
}

/** The fields of an object: those that are read, and those that are known and refused, with the reason. */
export interface ObjectSchema<T> {
  readonly fields: { readonly [K in keyof T]-?: Reader<T[K]> };
  readonly required?: readonly (keyof T & string)[];
  /** Completes "FIELD: …". */
  readonly refused?: Readonly<Record<string, string>>;
  /** Fields that others own and that say nothing to a policy. */
  readonly ignored?: readonly string[];
  /** What holds between the fields. Called with what could be read, also when some of it could not. */
  readonly check?: (value: Partial<T>, place: Place<MapNode>) => void;
}

/** Names of all fields that a schema knows, in its order. */
export function knownFields<T>(schema: ObjectSchema<T>): string[] {
  return [...Object.keys(schema.fields), ...Object.keys(schema.refused ?? {}), ...(schema.ignored ?? [])];
}

/** Makes a reader of objects. Every field is read, and every one that is unknown, refused or missing reported. */
export function objectReader<T extends object>(schema: ObjectSchema<T>): Reader<T> {
  const readers = new Map<string, Reader<unknown>>(Object.entries(schema.fields));
  const refused = new Map(Object.entries(schema.refused ?? {}));
  const ignored = new Set(schema.ignored);
  const names = { accepted: [...readers.keys(), ...ignored], refused: [...refused.keys()] };
  return (place) => {
    const map = mapAt(place);
    if (map === undefined) return undefined;
    const before = place.sink.problems.count;
    const value: Record<string, unknown> = {};
    for (const field of map.node.fields) {
      const reader = readers.get(field.key);
      const refusal = refused.get(field.key);
      const at = { span: field.keySpan, path: fieldPath(place.path, field.key) };
      if (reader !== undefined) {
        const read = reader(fieldPlace(place, field));
        if (read !== undefined) value[field.key] = read;
      } else if (refusal !== undefined) {
        reportProblem(fieldPlace(place, field), refusal, at);
      } else if (!ignored.has(field.key)) {
        reportProblem(fieldPlace(place, field), unknownFieldMessage(field.key, names), { ...at, value: field.key });
      }
    }
    for (const name of schema.required ?? []) {
      if (map.node.fields.some((field) => field.key === name)) continue;
      reportProblem(place, `Field "${name}" is missing`, { path: fieldPath(place.path, name), value: '' });
    }
    // The fields were read by the readers of their own types just now.
    schema.check?.(value as Partial<T>, map);
    return place.sink.problems.count === before ? (value as T) : undefined;
  };
}
