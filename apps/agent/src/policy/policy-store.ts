// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import type { Policy } from '@weir/policy';
import { type PreparedFile, prepareFile, readIfPresent } from '../state-file.ts';

/** The imported policies on disk. */
export interface PolicyStore {
  /** Rejects with CORRUPT_STATE, with the file left as it is: without its policies a node would let everything through. */
  load(): Promise<readonly Policy[]>;
  /** Writes aside; the caller commits once the kernel enforces them. */
  prepare(policies: readonly Policy[]): Promise<PreparedFile>;
}

const version = 1;

const isPolicy = (value: unknown): value is Policy =>
  typeof value === 'object' &&
  value !== null &&
  typeof (value as Policy).key === 'string' &&
  typeof (value as Policy).document === 'string' &&
  Array.isArray((value as Policy).rules);

function parse(text: string, path: string): readonly Policy[] {
  const corrupt = (what: string, cause?: unknown): WeirError =>
    new WeirError('CORRUPT_STATE', `The policy file "${path}" ${what}; what the kernel enforces stays in force`, {
      cause,
      details: { path },
    });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw corrupt('is not JSON', cause);
  }
  const fields = (value ?? {}) as { readonly version?: unknown; readonly policies?: unknown };
  if (fields.version !== version) {
    throw corrupt(`has the version ${JSON.stringify(fields.version)}; expected ${version}`);
  }
  if (!Array.isArray(fields.policies) || !fields.policies.every(isPolicy)) {
    throw corrupt('has something else than policies in "policies"');
  }
  return fields.policies;
}

/** Keeps them in one file. */
export function createPolicyStore(path: string): PolicyStore {
  return {
    async load() {
      const text = await readIfPresent(path);
      return text === undefined ? [] : parse(text, path);
    },
    prepare: (policies) => prepareFile(path, `${JSON.stringify({ version, policies })}\n`, { durable: true }),
  };
}
