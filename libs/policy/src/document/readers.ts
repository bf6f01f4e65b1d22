// SPDX-License-Identifier: Apache-2.0
import type { FeatureSet, PolicyFeature } from '../feature.ts';
import { describeNode, type DocumentNode, type ListNode, type MapField, type MapNode } from './document-node.ts';
import { anySchema, type JsonSchema, refusedSchema, type SchemaSource } from './json-schema.ts';
import { notEnforced } from './not-enforced.ts';
import { fieldPath, fieldPlace, itemPlace, type Place, reportProblem } from './place.ts';
import { unknownFieldMessage } from './unknown-field.ts';

/** Reads the value at a place, or reports all that is wrong with it and gives undefined. */
export interface Reader<T> {
  (place: Place): T | undefined;
  /** What is read, as Kubernetes can check it. It refuses nothing that the reader takes. */
  readonly schema: SchemaSource;
}

/** Makes a reader out of a function and the schema of what it reads. */
export function createReader<T>(schema: JsonSchema | SchemaSource, read: (place: Place) => T | undefined): Reader<T> {
  const source: SchemaSource = typeof schema === 'function' ? schema : () => schema;
  return Object.assign((place: Place) => read(place), { schema: source });
}

/** Makes a reader that goes on where another one ends. */
export function refineReader<T, R>(
  reader: Reader<T>,
  refine: (value: T, place: Place) => R | undefined,
  schema: Partial<JsonSchema> = {},
): Reader<R> {
  return createReader(
    (features) => ({ ...reader.schema(features), ...schema }),
    (place) => {
      const value = reader(place);
      return value === undefined ? undefined : refine(value, place);
    },
  );
}

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
export const readString: Reader<string> = createReader({ type: 'string' }, (place) => {
  const { node } = place;
  if (node.kind === 'scalar' && typeof node.value === 'string') return node.value;
  if (node.kind === 'scalar' && node.value !== null) {
    return reportProblem(
      place,
      `${node.text} is a ${typeof node.value}, expected a string; write "${node.text}" in quotes`,
    );
  }
  return notA(place, 'a string');
});

/** Reads `true` or `false`. */
export const readBoolean: Reader<boolean> = createReader({ type: 'boolean' }, (place) => {
  const { node } = place;
  return node.kind === 'scalar' && typeof node.value === 'boolean' ? node.value : notA(place, 'true or false');
});

/** Makes a reader of whole numbers from 0 to a maximum. */
export function integerReader(maximum: number): Reader<number> {
  return createReader({ type: 'integer', minimum: 0, maximum }, (place) => {
    const { node } = place;
    const value = node.kind === 'scalar' ? node.value : null;
    const isGood = typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= maximum;
    if (isGood) return value;
    const isQuoted = typeof value === 'string' && /^\d+$/.test(value);
    return notA(place, `a whole number 0–${maximum}${isQuoted ? '; write it without quotes' : ''}`);
  });
}

/** Makes a reader of strings that keep a limit, in UTF-16 code units. */
export function textReader(charactersMax: number): Reader<string> {
  return refineReader(
    readString,
    (text, place) =>
      text.length <= charactersMax
        ? text
        : reportProblem(place, `Text has ${text.length} characters; expected at most ${charactersMax}`),
    // Kubernetes counts code points, of which there are never more than code units.
    { maxLength: charactersMax },
  );
}

/** Makes a reader of one of some words. */
export function wordReader<W extends string>(words: readonly W[], noun: string): Reader<W> {
  return refineReader(
    readString,
    (text, place) =>
      words.find((candidate) => candidate === text) ??
      reportProblem(place, `"${text}" is not ${noun} (one of ${words.join(', ')})`),
    { enum: words },
  );
}

/** How long a list may be. */
export interface ListLimits {
  readonly itemsMax?: number;
  /** Why an empty list is refused; without it, it is accepted. */
  readonly emptyProblem?: string;
}

/** Makes a reader of lists. All items are read, so that all of their problems are reported. */
export function listReader<T>(item: Reader<T>, limits: ListLimits = {}): Reader<readonly T[]> {
  const { itemsMax, emptyProblem } = limits;
  const schema: SchemaSource = (features) => ({
    type: 'array',
    items: item.schema(features),
    ...(emptyProblem !== undefined && { minItems: 1 }),
    ...(itemsMax !== undefined && { maxItems: itemsMax }),
  });
  return createReader(schema, (place) => {
    const list = listAt(place);
    if (list === undefined) return undefined;
    const { items } = list.node;
    if (items.length === 0 && emptyProblem !== undefined) return reportProblem(place, emptyProblem);
    if (items.length > (itemsMax ?? Infinity)) {
      return reportProblem(place, `List has ${items.length} items; expected at most ${itemsMax}`);
    }
    const values = items.map((node, index) => item(itemPlace(place, node, index)));
    const read = values.filter((value) => value !== undefined);
    return read.length === values.length ? read : undefined;
  });
}

/** A feature that a field needs, and what the field is for: completes "Not enforced by this version: …". */
export interface FieldNeed {
  readonly feature: PolicyFeature;
  readonly what: string;
}

/** The fields of an object: those that are read, and those that are known and refused, with the reason. */
export interface ObjectSchema<T> {
  readonly fields: { readonly [K in keyof T]-?: Reader<T[K]> };
  readonly required?: readonly (keyof T & string)[];
  /** Fields that are refused where a feature is not there. */
  readonly needs?: { readonly [K in keyof T]?: FieldNeed };
  /** Completes "FIELD: …". */
  readonly refused?: Readonly<Record<string, string>>;
  /** Fields that others own and that say nothing to a policy. */
  readonly ignored?: readonly string[];
  /** What of {@link ObjectSchema.check} Kubernetes can be told, too. */
  readonly constraints?: Pick<JsonSchema, 'anyOf'>;
  /** What holds between the fields. Called with what could be read, also when some of it could not. */
  readonly check?: (value: Partial<T>, place: Place<MapNode>) => void;
}

/** The fields that are refused under some features, with the reasons. */
export function refusedFields<T>(schema: ObjectSchema<T>, features: FeatureSet): ReadonlyMap<string, string> {
  const refused = new Map(Object.entries(schema.refused ?? {}));
  for (const [field, need] of Object.entries<FieldNeed | undefined>(schema.needs ?? {})) {
    if (need !== undefined && !features.has(need.feature)) refused.set(field, notEnforced(need.what));
  }
  return refused;
}

function schemaOfObject<T>(schema: ObjectSchema<T>, features: FeatureSet): JsonSchema {
  const refused = refusedFields(schema, features);
  const read = Object.entries<Reader<unknown>>(schema.fields).filter(([name]) => !refused.has(name));
  const properties = Object.fromEntries([
    ...read.map(([name, reader]): [string, JsonSchema] => [name, reader.schema(features)]),
    ...[...refused].map(([name, reason]): [string, JsonSchema] => [name, refusedSchema(reason)]),
    ...(schema.ignored ?? []).map((name): [string, JsonSchema] => [name, anySchema]),
  ]);
  const { required = [], constraints } = schema;
  return { type: 'object', properties, ...(required.length > 0 && { required }), ...constraints };
}

/** Makes a reader of objects. Every field is read, and every one that is unknown, refused or missing reported. */
export function objectReader<T extends object>(schema: ObjectSchema<T>): Reader<T> {
  const readers = new Map<string, Reader<unknown>>(Object.entries(schema.fields));
  const ignored = new Set(schema.ignored);

  function readField(place: Place, field: MapField, refused: ReadonlyMap<string, string>): unknown {
    const reader = readers.get(field.key);
    const refusal = refused.get(field.key);
    const at = { span: field.keySpan, path: fieldPath(place.path, field.key) };
    if (refusal !== undefined) return reportProblem(fieldPlace(place, field), refusal, at);
    if (reader !== undefined) return reader(fieldPlace(place, field));
    if (ignored.has(field.key)) return undefined;
    const accepted = [...readers.keys(), ...ignored].filter((name) => !refused.has(name));
    const message = unknownFieldMessage(field.key, { accepted, refused: [...refused.keys()] });
    return reportProblem(fieldPlace(place, field), message, { ...at, value: field.key });
  }

  return createReader(
    (features) => schemaOfObject(schema, features),
    (place) => {
      const map = mapAt(place);
      if (map === undefined) return undefined;
      const before = place.sink.problems.count;
      const refused = refusedFields(schema, place.features);
      const value: Record<string, unknown> = {};
      for (const field of map.node.fields) {
        const read = readField(place, field, refused);
        if (read !== undefined) value[field.key] = read;
      }
      for (const name of schema.required ?? []) {
        if (map.node.fields.some((field) => field.key === name)) continue;
        reportProblem(place, `Field "${name}" is missing`, { path: fieldPath(place.path, name), value: '' });
      }
      // The fields were read by the readers of their own types just now.
      schema.check?.(value as Partial<T>, map);
      return place.sink.problems.count === before ? (value as T) : undefined;
    },
  );
}
