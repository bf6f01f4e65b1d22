// SPDX-License-Identifier: Apache-2.0

const plain = new Set<unknown>([Object.prototype, Array.prototype, null]);

/** Fields that a message has from its prototype, its defaults, are there for whoever reads the JSON as well. */
function withInherited(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || plain.has(Object.getPrototypeOf(value))) return value;
  const fields: Record<string, unknown> = {};
  for (const key in value) {
    const field = (value as Readonly<Record<string, unknown>>)[key];
    if (typeof field !== 'function' && !key.startsWith('$')) fields[key] = field;
  }
  return fields;
}

/** Data as JSON, in which a field of a message is never missing because it has its default. */
export const jsonText = (data: unknown, indent = 0): string => JSON.stringify(data, withInherited, indent);
