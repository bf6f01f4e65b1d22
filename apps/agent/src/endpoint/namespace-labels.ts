// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { prepareFile, readIfPresent } from '../state-file.ts';

/** Labels of one namespace. */
export type NamespaceLabels = Readonly<Record<string, string>>;

/** The labels of namespaces that the platform has told of: on disk and in memory. */
export interface NamespaceLabelTable {
  /** Takes over what an agent before knew. Rejects with CORRUPT_STATE: pods would lose labels that policies look at. */
  load(): Promise<void>;
  /** Those of a namespace; none when it has not been told of. */
  labelsOf(namespace: string): NamespaceLabels;
  /** In order of the names. */
  list(): readonly (readonly [namespace: string, labels: NamespaceLabels])[];
  /** Resolves when they are on disk; an empty set forgets the namespace. */
  put(namespace: string, labels: NamespaceLabels): Promise<void>;
}

const version = 1;
const none: NamespaceLabels = {};

const isLabels = (value: unknown): value is NamespaceLabels =>
  typeof value === 'object' && value !== null && Object.values(value).every((each) => typeof each === 'string');

function parse(text: string, path: string): Map<string, NamespaceLabels> {
  const corrupt = (what: string, cause?: unknown): WeirError =>
    new WeirError(
      'CORRUPT_STATE',
      `The file of namespaces "${path}" ${what}; what the kernel enforces stays in force`,
      {
        cause,
        details: { path },
      },
    );
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw corrupt('is not JSON', cause);
  }
  const fields = (value ?? {}) as { readonly version?: unknown; readonly namespaces?: unknown };
  if (fields.version !== version) {
    throw corrupt(`has the version ${JSON.stringify(fields.version)}; expected ${version}`);
  }
  const { namespaces } = fields;
  if (typeof namespaces !== 'object' || namespaces === null || !Object.values(namespaces).every(isLabels)) {
    throw corrupt('has something else than labels in "namespaces"');
  }
  return new Map(Object.entries(namespaces as Readonly<Record<string, NamespaceLabels>>));
}

/** Keeps them in one file. */
export function createNamespaceLabelTable(path: string): NamespaceLabelTable {
  let table = new Map<string, NamespaceLabels>();
  return {
    async load() {
      const text = await readIfPresent(path);
      if (text !== undefined) table = parse(text, path);
    },
    labelsOf: (namespace) => table.get(namespace) ?? none,
    list: () => [...table].sort(([a], [b]) => (a < b ? -1 : 1)),
    async put(namespace, labels) {
      const wanted = new Map(table);
      if (Object.keys(labels).length === 0) wanted.delete(namespace);
      else wanted.set(namespace, labels);
      const text = JSON.stringify({ version, namespaces: Object.fromEntries(wanted) });
      const file = await prepareFile(path, `${text}\n`, { durable: true });
      await file.commit();
      table = wanted;
    },
  };
}
