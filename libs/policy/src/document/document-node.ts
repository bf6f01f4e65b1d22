// SPDX-License-Identifier: Apache-2.0

/** Where a value stands in its file, as offsets of UTF-16 code units. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** A string, a number, a boolean or nothing; `text` is how it is written. */
export interface ScalarNode {
  readonly kind: 'scalar';
  readonly value: string | number | boolean | null;
  readonly text: string;
  readonly span: Span;
}

/** A sequence. */
export interface ListNode {
  readonly kind: 'list';
  readonly items: readonly DocumentNode[];
  readonly span: Span;
}

/** One key of a mapping with its value. */
export interface MapField {
  readonly key: string;
  readonly keySpan: Span;
  readonly value: DocumentNode;
}

/** A mapping with string keys, each of them once. */
export interface MapNode {
  readonly kind: 'map';
  readonly fields: readonly MapField[];
  readonly span: Span;
}

/** A value of a YAML or JSON document that knows where it stands. Aliases are expanded, tags are gone. */
export type DocumentNode = ScalarNode | ListNode | MapNode;

/** A plain value as JSON knows it. */
export type PlainValue =
  string | number | boolean | null | readonly PlainValue[] | { readonly [key: string]: PlainValue };

/** The value without its places, keys of mappings sorted: equal values have equal JSON. */
export function plainValue(node: DocumentNode): PlainValue {
  switch (node.kind) {
    case 'scalar':
      return node.value;
    case 'list':
      return node.items.map(plainValue);
    case 'map':
      return Object.fromEntries(
        node.fields
          .map((field): [string, PlainValue] => [field.key, plainValue(field.value)])
          .sort(([a], [b]) => (a < b ? -1 : 1)),
      );
  }
}

/** A short form of a value for messages: as it is written, or what kind of thing it is. */
export function describeNode(node: DocumentNode): string {
  switch (node.kind) {
    case 'scalar':
      if (node.value === null) return 'null';
      return node.text.length > 80 ? `${node.text.slice(0, 79)}…` : node.text;
    case 'list':
      return node.items.length === 0 ? '[]' : 'a list';
    case 'map':
      return node.fields.length === 0 ? '{}' : 'a mapping';
  }
}
