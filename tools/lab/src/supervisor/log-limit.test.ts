// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { limitLogs } from './log-limit.ts';

it('limitLogs() empties a log that has become too large, and no other', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'weir-logs-'));
  try {
    writeFileSync(join(directory, 'large.log'), 'x'.repeat(101));
    writeFileSync(join(directory, 'small.log'), 'x'.repeat(100));
    await limitLogs(directory, 100);
    expect(readFileSync(join(directory, 'large.log'), 'utf8')).toBe('');
    expect(readFileSync(join(directory, 'small.log'), 'utf8')).toHaveLength(100);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
