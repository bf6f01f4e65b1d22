// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { createPolicySubjects, identityOfSubject } from './policy-subjects.ts';

const http = (port: number) => [{ name: 'http', protocol: 6, port }];

describe('createPolicySubjects()', () => {
  it('gives pods of an identity one policy as long as they mean the same by the names of their ports', () => {
    const subjects = createPolicySubjects(() => []);
    const first = subjects.numberOf(300, http(80));
    expect(subjects.numberOf(300, [{ name: 'HTTP', protocol: 6, port: 80 }])).toBe(first);
    const others = [subjects.numberOf(300, http(81)), subjects.numberOf(301, http(80)), subjects.numberOf(300, [])];
    expect(new Set([first, ...others]).size).toBe(4);
    expect([first, ...others].map(identityOfSubject)).toEqual([300, 300, 301, 300]);
  });

  it('gives those without named ports the number of their identity', () => {
    const subjects = createPolicySubjects(() => []);
    expect([subjects.numberOf(300, []), subjects.numberOf(301, undefined)]).toEqual([300, 301]);
  });

  it('never takes a number from pods that have it, however many came and went', () => {
    let kept = 0;
    const subjects = createPolicySubjects(() => [kept]);
    kept = subjects.numberOf(300, http(1));
    const others = Array.from({ length: 140_000 }, (_, index) => subjects.numberOf(300, http(index + 2)));
    expect(new Set(others).size).toBeGreaterThan(2 ** 16);
    expect(others).not.toContain(kept);
    expect(subjects.numberOf(300, http(1))).toBe(kept);
  });
});
