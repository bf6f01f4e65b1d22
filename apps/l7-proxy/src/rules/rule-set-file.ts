// SPDX-License-Identifier: Apache-2.0
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { WeirError } from '@weir/errors';
import { isRecord, parseJson, readRuleSetList } from './rule-set-json.ts';
import type { RuleSetSpec } from './rule-set.ts';

/** The file in which rule sets outlive the proxy. */
export interface RuleSetFile {
  /** What was saved last; none when there is no file. CORRUPT_STATE when it is not what `save` writes. */
  load(): Promise<readonly RuleSetSpec[]>;
  /** Replaces the file in one step; a crash leaves the old content or the new. */
  save(sets: readonly RuleSetSpec[]): Promise<void>;
}

// The second has headers, so that a proxy that knows nothing of them does not take it for less than it is.
const formatVersions: readonly unknown[] = [1, 2];

const looksAtHeaders = ({ http }: RuleSetSpec): boolean =>
  http.some(({ headers, headerMatches }) => headers !== undefined || headerMatches !== undefined);

/** Keeps rule sets in the JSON file at `path`. */
export function createRuleSetFile(path: string): RuleSetFile {
  return {
    async load() {
      const text = await readText(path);
      if (text === undefined) return [];
      try {
        return parseFile(text);
      } catch (thrown) {
        const cause = WeirError.from(thrown);
        throw new WeirError('CORRUPT_STATE', `Rule sets in "${path}": ${cause.message}`, { cause, details: { path } });
      }
    },
    async save(sets) {
      await mkdir(dirname(path), { recursive: true, mode: 0o750 });
      const temporary = `${path}.new`;
      const file = await open(temporary, 'w', 0o640);
      try {
        await file.writeFile(`${JSON.stringify({ version: sets.some(looksAtHeaders) ? 2 : 1, ruleSets: sets })}\n`);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, path);
    },
  };
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw WeirError.from(thrown, 'SYSTEM_CALL_FAILED');
  }
}

function parseFile(text: string): readonly RuleSetSpec[] {
  const content = parseJson(text);
  const found = isRecord(content) ? content.version : undefined;
  if (isRecord(content) && formatVersions.includes(found)) return readRuleSetList(content.ruleSets, 'ruleSets');
  throw new WeirError(
    'INVALID_ARGUMENT',
    `Format version is ${JSON.stringify(found)}, expected ${formatVersions.join(' or ')}`,
  );
}
