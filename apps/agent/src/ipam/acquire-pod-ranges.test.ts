// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { WeirError } from '@weir/errors';
import { formatCidr } from '@weir/model';
import { weir } from '@weir/proto';
import { createLogger } from '@weir/telemetry';
import { acquirePodRanges } from './acquire-pod-ranges.ts';

const logger = createLogger({ service: 'test', level: 'silent' });
const ranges = { ipv4: '10.1.0.0/24', ipv6: 'fd01::/64' };

let directory: string, path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'weir-ranges-'));
  path = join(directory, 'pod-ranges.json');
});
afterEach(() => rmSync(directory, { recursive: true }));

/** What the operator answers, one after the other, the last one again and again; an error is thrown. */
async function acquire(...answers: (Partial<typeof ranges> | WeirError)[]) {
  const asked: object[] = [];
  const operator = {
    async acquirePodRanges(request: object) {
      asked.push(request);
      const answer = answers.length > 1 ? answers.shift() : answers[0];
      if (answer instanceof WeirError) throw answer;
      return Object.assign(new weir.operator.v1.AcquirePodRangesResponse(), { ranges: answer ?? null });
    },
  };
  const options = { operator, node: 'n1', path, logger, retryMs: { initialMs: 1, maxMs: 1 } };
  const { ipv4, ipv6 } = await acquirePodRanges(options);
  return { asked, given: [formatCidr(ipv4), formatCidr(ipv6)] };
}
const away = new WeirError('UNAVAILABLE', 'away');
const stored = (): unknown => JSON.parse(readFileSync(path, 'utf8'));

describe('acquirePodRanges()', () => {
  it('takes what the operator gives, and keeps it', async () => {
    expect(await acquire(ranges)).toEqual({ asked: [{ node: 'n1' }], given: [ranges.ipv4, ranges.ipv6] });
    expect(stored()).toEqual(ranges);
  });

  it('says what it had before, and takes other ranges if it gets them', async () => {
    await acquire(ranges);
    const others = { ipv4: '10.2.0.0/24', ipv6: 'fd02::/64' };
    expect(await acquire(others)).toEqual({
      asked: [{ node: 'n1', known: ranges }],
      given: [others.ipv4, others.ipv6],
    });
    expect(stored()).toEqual(others);
  });

  it('goes on with what it had while the operator is away', async () => {
    await acquire(ranges);
    expect((await acquire(away)).given).toEqual([ranges.ipv4, ranges.ipv6]);
  });

  it('waits where it never had any, also when the pool is used up or the answer is none', async () => {
    const full = new WeirError('RESOURCE_EXHAUSTED', 'full');
    expect((await acquire(away, full, { ipv4: 'x', ipv6: 'y' }, ranges)).asked).toHaveLength(4);
  });

  it('asks for new ones when its file is damaged', async () => {
    writeFileSync(path, '{"ipv4":"10.1.0.0/24","ipv6":"10.1.0.0/24"}');
    expect((await acquire(ranges)).asked).toEqual([{ node: 'n1' }]);
    expect(stored()).toEqual(ranges);
  });
});
