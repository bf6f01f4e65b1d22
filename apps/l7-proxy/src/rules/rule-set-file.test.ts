// SPDX-License-Identifier: Apache-2.0
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createLogger } from '@weir/telemetry';
import { createRuleSetFile, type RuleSetFile } from './rule-set-file.ts';
import { createRuleSetSaver } from './rule-set-saver.ts';
import { createRuleSets } from './rule-sets.ts';

const sets = [{ id: 7, http: [{ method: 'GET', path: '/a.*', host: '' }] }];

describe('the rule set file', () => {
  let directory: string;
  let path: string;
  let file: RuleSetFile;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'weir-l7-proxy-'));
    path = join(directory, 'l7-proxy', 'rule-sets.json');
    file = createRuleSetFile(path);
  });
  afterEach(() => rm(directory, { recursive: true }));

  it('gives back what was saved', async () => {
    await file.save([]);
    await file.save(sets);
    expect(await file.load()).toEqual(sets);
    expect(await readdir(join(directory, 'l7-proxy'))).toEqual(['rule-sets.json']);
  });

  it('gives back rules about headers, in a form that a proxy without them does not take for less', async () => {
    const headers = [{ name: 'a' }, { name: 'b', value: 'x' }];
    const headerMatches = [{ name: 'c', value: 'y', mismatch: 'LOG' as const }];
    const withHeaders = [{ id: 7, http: [{ method: '', path: '', host: '', headers, headerMatches }] }];
    await file.save(withHeaders);
    expect(await file.load()).toEqual(withHeaders);
    expect(await readFile(path, 'utf8')).toContain('{"version":2,');
  });

  it('is empty when there is none', async () => {
    expect(await file.load()).toEqual([]);
  });

  it.each([
    ['', 'Not JSON'],
    ['{"version":1,"ruleSets":[{"id":1,"http"', 'Not JSON'],
    ['{"version":3,"ruleSets":[]}', 'Format version is 3, expected 1 or 2'],
    [
      '{"version":2,"ruleSets":[{"id":1,"http":[{"method":"","path":"","host":"","headers":[{"value":"x"}]}]}]}',
      '"ruleSets[0]" is',
    ],
    ['[]', 'Format version is undefined, expected 1'],
    ['{"version":1}', '"ruleSets" is not a list'],
    ['{"version":1,"ruleSets":[{"id":"x","http":[]}]}', '"ruleSets[0]" is {"id":"x","http":[]}, expected {id, http'],
    ['{"version":1,"ruleSets":[{"id":1,"http":[{"method":"GET"}]}]}', '"ruleSets[0]" is'],
  ])('is CORRUPT_STATE with the content %j, and stays as it is', async (content, problem) => {
    await file.save(sets);
    await writeFile(path, content);
    const loading = file.load();
    await expect(loading).rejects.toThrow(problem);
    await expect(loading).rejects.toMatchObject({ code: 'CORRUPT_STATE' });
    expect(await readFile(path, 'utf8')).toBe(content);
  });

  it('ends with the last of many changes, whatever was half written before', async () => {
    const ruleSets = createRuleSets();
    const log = createLogger({ service: 'test', level: 'silent' });
    const saver = createRuleSetSaver({ ruleSets, file, log });
    await file.save(sets);
    await writeFile(`${path}.new`, '{"half":');
    for (let id = 1; id <= 50; id++) {
      await ruleSets.apply({ snapshot: true, upserted: [{ id, http: [] }], deleted: [] });
      saver.save();
    }
    await saver.settled();
    expect(await file.load()).toEqual([{ id: 50, http: [] }]);
  });

  it('is missing, with a line in the log, where it cannot be written', async () => {
    await writeFile(join(directory, 'l7-proxy'), 'a file where the directory should be');
    const lines: string[] = [];
    const log = createLogger({ service: 'test', destination: { write: (line) => void lines.push(line) } });
    const saver = createRuleSetSaver({ ruleSets: createRuleSets(), file, log });
    saver.save();
    await saver.settled();
    expect(lines.join('')).toContain('Rule sets cannot be saved');
  });
});
