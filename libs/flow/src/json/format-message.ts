// SPDX-License-Identifier: Apache-2.0
import { type FieldSchema, type FieldType, messageSchema } from './schema.ts';
import { formatTimestamp, isWrapper } from './well-known.ts';

type Plain = Readonly<Record<string, unknown>>;

const wide = new Set(['int64', 'uint64']);

function formatScalar(name: string, value: unknown): unknown {
  // Beyond 2^53 a number has lost its last digits long before it comes here.
  if (wide.has(name)) return BigInt(Math.trunc(Number(value))).toString();
  return name === 'bytes' ? Buffer.from(value as Uint8Array).toString('base64') : value;
}

function formatSpecial(message: string, value: Plain): unknown {
  if (message === 'google.protobuf.Timestamp') return formatTimestamp(value);
  if (message === 'google.protobuf.FieldMask')
    return (value['paths'] as readonly string[] | undefined)?.join(',') ?? '';
  if (message === 'google.protobuf.Any') {
    return { '@type': value['type_url'], value: Buffer.from((value['value'] as Uint8Array) ?? []).toString('base64') };
  }
  if (!isWrapper(message)) return undefined;
  const field = messageSchema(message).get('value');
  const bare = value['value'] ?? (message.endsWith('BoolValue') ? false : 0);
  return field === undefined ? bare : formatValue(field.type, bare);
}

function formatValue(type: FieldType, value: unknown): unknown {
  switch (type.kind) {
    case 'scalar':
      return formatScalar(type.name, value);
    case 'enum':
      return type.names.get(Number(value)) ?? value;
    case 'message':
      return formatSpecial(type.name, value as Plain) ?? messageToJson(type.name, value as Plain);
  }
}

function isUnset({ repeated, type }: FieldSchema, value: unknown): boolean {
  if (value === null || value === undefined) return true;
  if (repeated) return (value as readonly unknown[]).length === 0;
  if (type.kind === 'message') return false;
  return value === 0 || value === '' || value === false || (value instanceof Uint8Array && value.length === 0);
}

/**
 * The JSON form of a message, with the names of the contract and without what is not set: what `hubble observe -o json`
 * prints.
 */
export function messageToJson(message: string, value: object): Record<string, unknown> {
  const json: Record<string, unknown> = {};
  for (const field of messageSchema(message).values()) {
    const held = (value as Plain)[field.property];
    if (isUnset(field, held)) continue;
    json[field.name] = field.repeated
      ? (held as readonly unknown[]).map((each) => formatValue(field.type, each))
      : formatValue(field.type, held);
  }
  return json;
}
