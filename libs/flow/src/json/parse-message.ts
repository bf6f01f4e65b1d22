// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { type FieldSchema, type FieldType, messageSchema } from './schema.ts';
import { isWrapper, parseTimestamp } from './well-known.ts';

const refused = (path: string, problem: string): WeirError =>
  new WeirError('INVALID_ARGUMENT', `${path === '' ? 'The message' : path} ${problem}`);

const quote = (value: unknown): string => JSON.stringify(value)?.slice(0, 80) ?? 'nothing';

function parseScalar(name: string, value: unknown, path: string): unknown {
  if (name === 'string' && typeof value === 'string') return value;
  if (name === 'bool' && typeof value === 'boolean') return value;
  if (name === 'bytes' && typeof value === 'string') return Buffer.from(value, 'base64');
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  const isNumber = typeof number === 'number' && Number.isFinite(number);
  if (isNumber && (name === 'double' || name === 'float')) return number;
  const isInRange = isNumber && Number.isInteger(number) && (number >= 0 || !name.startsWith('u'));
  if (isInRange && name.includes('int')) return number;
  throw refused(path, `is ${quote(value)}; expected ${name}`);
}

function parseValue(type: FieldType, value: unknown, path: string): unknown {
  if (type.kind === 'scalar') return parseScalar(type.name, value, path);
  if (type.kind === 'enum') {
    const number = typeof value === 'number' ? value : type.values[String(value)];
    if (number === undefined) throw refused(path, `is ${quote(value)}; expected one of its names`);
    return number;
  }
  if (type.name === 'google.protobuf.Timestamp') return parseTimestamp(String(value));
  if (type.name === 'google.protobuf.FieldMask') return { paths: String(value).split(',').filter(Boolean) };
  const only = isWrapper(type.name) ? type.fields().get('value') : undefined;
  return only === undefined ? parse(type.name, value, path) : { value: parseValue(only.type, value, path) };
}

function parseField({ repeated, type }: FieldSchema, value: unknown, path: string): unknown {
  if (!repeated) return parseValue(type, value, path);
  if (!Array.isArray(value)) throw refused(path, `is ${quote(value)}; expected a list`);
  return value.map((each, index) => parseValue(type, each, `${path}[${index}]`));
}

function parse(message: string, json: unknown, path: string): Record<string, unknown> {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw refused(path, `is ${quote(json)}; expected an object`);
  }
  const schema = messageSchema(message);
  const byProperty = new Map([...schema.values()].map((field) => [field.property, field]));
  const value: Record<string, unknown> = {};
  for (const [name, held] of Object.entries(json)) {
    const at = path === '' ? name : `${path}.${name}`;
    const field = schema.get(name) ?? byProperty.get(name);
    if (field === undefined) throw refused(at, `is no field of ${message}`);
    if (held !== null) value[field.property] = parseField(field, held, at);
  }
  return value;
}

/** Reads the JSON form of a message; INVALID_ARGUMENT names the field, the value and what was expected. */
export function messageFromJson<Message extends object>(message: string, json: unknown): Message {
  return parse(message, json, '') as Message;
}
