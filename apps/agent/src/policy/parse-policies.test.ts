// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { parsePolicyFiles } from '@weir/policy';
import { parsePolicies } from './parse-policies.ts';

const rules = (count: number): string =>
  JSON.stringify(
    Array.from({ length: count }, (_, index) => ({
      endpointSelector: { matchLabels: { app: `a${index}` } },
      ingress: [{}],
    })),
  );

describe('parsePolicies()', () => {
  it.each([1, 500])('reads a list of %i rules like parsePolicyFiles()', async (count) => {
    const files = [{ name: 'a.json', content: new TextEncoder().encode(rules(count)) }];
    const parsed = await parsePolicies(files);
    expect(parsed.problems).toEqual([]);
    expect(parsed).toEqual(parsePolicyFiles(files));
  });

  it('keeps the event loop going while it reads a file that takes long', async () => {
    const content = `[${'[],'.repeat(60_000)}]`;
    let turns = 0;
    const timer = setInterval(() => turns++, 10);
    const { problems } = await parsePolicies([{ name: 'hostile.yaml', content }]);
    clearInterval(timer);
    expect(problems.length).toBeGreaterThan(0);
    expect(turns).toBeGreaterThan(5);
  });

  it('gives up what takes too long, or too much memory', async () => {
    const hostile = [{ name: 'hostile.yaml', content: '['.repeat(500_000) }];
    await expect(parsePolicies(hostile, { timeoutMs: 50, memoryMiBMax: 512 })).rejects.toMatchObject({
      code: 'RESOURCE_EXHAUSTED',
      message: 'Reading the policy files takes more than 50 ms; import fewer at a time',
    });
    await expect(parsePolicies(hostile, { timeoutMs: 20_000, memoryMiBMax: 16 })).rejects.toThrow(
      'takes more than 16 MiB of memory',
    );
  });
});
