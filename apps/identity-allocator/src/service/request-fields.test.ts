// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { readHeld, readId, readLabels, readNode } from './request-fields.ts';

describe('readNode()', () => {
  it.each(['a', 'node-1.example.com', 'N_1', 'x'.repeat(253)])('takes "%s"', (node) =>
    expect(readNode(node)).toBe(node),
  );
  it.each(['', 'a b', '-a', 'a.', 'a/b', 'ä', 'x'.repeat(254)])('refuses "%s"', (node) => {
    expect(() => readNode(node)).toThrow(/^node: ".*" is not a node name/);
  });
});

describe('readLabels()', () => {
  it('gives the same set for labels in any order', () => {
    expect(readLabels(['k8s:b', 'k8s:a=1'])).toEqual(readLabels(['k8s:a=1', 'k8s:b']));
  });

  it.each([
    ['none', [], 'labels: is empty'],
    ['a malformed one', ['k8s:a b=c'], 'labels: "a b" is not a label key'],
    ['two values for one key', ['k8s:a=1', 'k8s:a=2'], 'labels: Label "k8s:a" has two values'],
    ['a reserved one', ['k8s:a', 'reserved:host'], 'labels: "reserved:host" belongs to a reserved identity'],
    ['too many bytes', Array.from({ length: 20 }, (_, i) => `k8s:l${i}=${'x'.repeat(1000)}`), 'expected at most 16384'],
  ])('refuses %s and names the field', (_what, labels, message) => {
    expect(() => readLabels(labels)).toThrow(message);
  });
});

describe('readId()', () => {
  it.each([0, 255, 65_536])('refuses %d', (id) => expect(() => readId(id)).toThrow(`id: is ${id}, expected 256–65535`));
});

describe('readHeld()', () => {
  it('names the place of what is wrong', () => {
    const good = { id: 300, labels: ['k8s:a'] };
    expect(() => readHeld([good, { id: 301, labels: ['k8s:a b'] }])).toThrow(
      'held[1].labels: "a b" is not a label key',
    );
    expect(() => readHeld([good, { id: 5, labels: ['k8s:a'] }])).toThrow('held[1].id: is 5');
    expect(() => readHeld([good, good])).toThrow('held[1].id: names 300 again');
    expect(() => readHeld(Array.from({ length: 5000 }, () => good))).toThrow(
      'has 5000 identities, expected at most 4096',
    );
  });
});
