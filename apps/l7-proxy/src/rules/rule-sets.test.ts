// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { RequestHead } from '../http/request-head.ts';
import { createJudge, type Judge } from './judge.ts';
import { createJudgementCache } from './judgement-cache.ts';
import { createRuleSets, type RuleSets } from './rule-sets.ts';

const rule = (method = '', path = '', host = ''): { method: string; path: string; host: string } => ({
  method,
  path,
  host,
});

const setup = (): { ruleSets: RuleSets; judge: Judge } => {
  const ruleSets = createRuleSets();
  return { ruleSets, judge: createJudge({ ruleSets, cache: createJudgementCache({ entriesMax: 64 }) }) };
};

function ask(judge: Judge, line: string, sets: { egress?: number; ingress?: number }) {
  const bytes = Buffer.from(`${line} HTTP/1.1\r\nHost: h.x:8080\r\n\r\n`);
  const head = new RequestHead({ fieldsMax: 10, headBytesMax: 65_536 });
  head.reset();
  head.parse(bytes, bytes.length);
  const identities = { revision: 1, sourceIdentity: 1, destinationIdentity: 2 };
  const policy = { ...identities, egressRuleSet: sets.egress ?? 0, ingressRuleSet: sets.ingress ?? 0 };
  const { reason, deniedBy } = judge.judge(head, bytes, policy);
  return { allowed: reason === undefined, deniedBy, reason };
}

describe('a judgement', () => {
  it('allows what no direction has rules for', async () => {
    const { judge } = setup();
    expect(ask(judge, 'GET /', {})).toEqual({ allowed: true, deniedBy: 0, reason: undefined });
  });

  it('needs both directions', async () => {
    const { judge, ruleSets } = setup();
    await ruleSets.apply({
      snapshot: true,
      upserted: [
        { id: 1, http: [rule('GET')] },
        { id: 2, http: [rule('', '/a')] },
      ],
      deleted: [],
    });
    const sets = { egress: 1, ingress: 2 };
    expect(ask(judge, 'GET /a', sets).allowed).toBe(true);
    expect(ask(judge, 'PUT /a', sets)).toMatchObject({ allowed: false, deniedBy: 1 });
    expect(ask(judge, 'GET /b', sets)).toMatchObject({ allowed: false, deniedBy: 2 });
  });

  it('passes with one rule of which all fields match, and an empty set passes everything', async () => {
    const { judge, ruleSets } = setup();
    const http = [rule('GET', '/a', 'h\\.x:8080'), rule('PUT', '/b.*')];
    await ruleSets.apply({
      snapshot: true,
      upserted: [
        { id: 1, http },
        { id: 2, http: [] },
      ],
      deleted: [],
    });
    for (const [line, allowed] of [
      ['GET /a', true],
      ['PUT /a', false],
      ['PUT /bc?d', true],
      ['GET /bc', false],
    ] as const) {
      expect({ line, ...ask(judge, line, { ingress: 1 }) }).toMatchObject({ line, allowed });
      expect(ask(judge, line, { ingress: 2 }).allowed).toBe(true);
    }
  });

  it('compares the host as it was sent, with port and case', async () => {
    const { judge, ruleSets } = setup();
    await ruleSets.apply({ snapshot: true, upserted: [{ id: 1, http: [rule('', '', 'h\\.x')] }], deleted: [] });
    expect(ask(judge, 'GET /', { egress: 1 }).allowed).toBe(false);
    await ruleSets.apply({ snapshot: true, upserted: [{ id: 1, http: [rule('', '', 'H\\.x:8080')] }], deleted: [] });
    expect(ask(judge, 'GET /', { egress: 1 }).allowed).toBe(false);
    await ruleSets.apply({ snapshot: true, upserted: [{ id: 1, http: [rule('', '', 'h\\.x:\\d+')] }], deleted: [] });
    expect(ask(judge, 'GET /', { egress: 1 }).allowed).toBe(true);
  });

  it('refuses under a rule set that it does not know, and says so', async () => {
    const { judge } = setup();
    expect(ask(judge, 'GET /', { ingress: 9 })).toEqual({
      allowed: false,
      deniedBy: 9,
      reason: 'ingress rule set 9 is not known here',
    });
  });

  it('refuses under a rule set that does not compile, and says why', async () => {
    const { judge, ruleSets } = setup();
    const unusable = await ruleSets.apply({
      snapshot: true,
      upserted: [{ id: 1, http: [rule(), rule('', '[')] }],
      deleted: [],
    });
    expect(unusable.map((set) => set.spec.id)).toEqual([1]);
    expect(ask(judge, 'GET /', { egress: 1 }).reason).toContain('Regular expression "[" does not compile');
  });

  it('lets no rule about paths vouch for a path with dot segments', async () => {
    const { judge, ruleSets } = setup();
    await ruleSets.apply({
      snapshot: true,
      upserted: [
        { id: 1, http: [rule('', '/public/.*')] },
        { id: 2, http: [rule('GET')] },
      ],
      deleted: [],
    });
    expect(ask(judge, 'GET /public/../admin', { ingress: 1 })).toMatchObject({ allowed: false, deniedBy: 1 });
    expect(ask(judge, 'GET /public/%2e%2e/admin', { ingress: 1 }).reason).toContain('dot segments');
    expect(ask(judge, 'GET /public/../admin', { ingress: 2 }).allowed).toBe(true);
  });

  it('judges an absolute form by its path, and by / where it has none', async () => {
    const { judge, ruleSets } = setup();
    await ruleSets.apply({ snapshot: true, upserted: [{ id: 1, http: [rule('', '/|/a|/\\?q')] }], deleted: [] });
    for (const target of ['http://h.x:8080/a', 'http://h.x:8080', 'http://h.x:8080?q']) {
      expect({ target, ...ask(judge, `GET ${target}`, { egress: 1 }) }).toMatchObject({ target, allowed: true });
    }
    expect(ask(judge, 'GET http://h.x:8080/b', { egress: 1 }).allowed).toBe(false);
  });

  it('is forgotten as soon as the rules change', async () => {
    const { judge, ruleSets } = setup();
    await ruleSets.apply({ snapshot: true, upserted: [{ id: 1, http: [rule('GET')] }], deleted: [] });
    expect(ask(judge, 'GET /', { ingress: 1 }).allowed).toBe(true);
    await ruleSets.apply({ snapshot: false, upserted: [{ id: 1, http: [rule('PUT')] }], deleted: [] });
    expect(ask(judge, 'GET /', { ingress: 1 }).allowed).toBe(false);
    await ruleSets.apply({ snapshot: false, upserted: [], deleted: [1] });
    expect(ask(judge, 'PUT /', { ingress: 1 }).reason).toContain('not known');
  });

  it('is the same with a cache that is far too small', async () => {
    const { judge, ruleSets } = setup();
    await ruleSets.apply({ snapshot: true, upserted: [{ id: 1, http: [rule('', '/[0-9]*[02468]')] }], deleted: [] });
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 500; i++) {
        expect(ask(judge, `GET /${i}`, { ingress: 1 }).allowed).toBe(i % 2 === 0);
        expect(ask(judge, `GET /${i}`, { egress: 1, ingress: 1 }).allowed).toBe(i % 2 === 0);
        expect(ask(judge, `GET /${i}`, {}).allowed).toBe(true);
      }
    }
    expect(ask(judge, `GET /${'1'.repeat(2000)}2`, { ingress: 1 }).allowed).toBe(true);
  });
});

describe('RuleSets.apply()', () => {
  it('replaces everything with a snapshot, and changes only what it names without', async () => {
    const { ruleSets } = setup();
    const set = (id: number) => ({ id, http: [] });
    await ruleSets.apply({ snapshot: true, upserted: [set(2), set(1)], deleted: [] });
    await ruleSets.apply({ snapshot: false, upserted: [set(3)], deleted: [2] });
    expect(ruleSets.specs().map(({ id }) => id)).toEqual([1, 3]);
    await ruleSets.apply({ snapshot: true, upserted: [set(4)], deleted: [] });
    expect(ruleSets.specs().map(({ id }) => id)).toEqual([4]);
  });

  it('keeps what a snapshot repeats, so that a reconnect costs no compiling', async () => {
    const { ruleSets } = setup();
    const upserted = [{ id: 1, http: [rule('', '/a[0-9]')] }];
    await ruleSets.apply({ snapshot: true, upserted, deleted: [] });
    const before = ruleSets.get(1);
    await ruleSets.apply({ snapshot: true, upserted: structuredClone(upserted), deleted: [] });
    expect(ruleSets.get(1)).toBe(before);
  });
});
