// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { checkPodName, findPod, podNetns } from './pod-name.ts';

describe('checkPodName()', () => {
  it.each([
    ['default', 'xwing'],
    ['a-b', 'web-0.web.example'],
    ['1', 'x'.repeat(63)],
  ])('accepts %s/%s', (namespace, name) => {
    expect(() => checkPodName({ namespace, name })).not.toThrow();
  });

  it.each([
    ['default', ''],
    ['default', 'X'],
    ['default', 'a/b'],
    ['default', '../a'],
    ['default', 'a..b'],
    ['default', '-a'],
    ['default', 'a_b'],
    ['default', '@world'],
    ['default', `${'x'.repeat(63)}.${'x'.repeat(63)}`],
    ['a.b', 'x'],
    ['', 'x'],
  ])('refuses "%s"/"%s", and says what was expected', (namespace, name) => {
    expect(() => checkPodName({ namespace, name })).toThrow(/^Invalid (namespace|pod name) ".*": expected /);
  });
});

describe('podNetns()', () => {
  it('never gives two pods the same name, nor a pod that of a host', () => {
    const names = ['a', 'a-b', 'b', 'node1', 'lan'];
    const all = names.flatMap((namespace) => names.map((name) => podNetns('weir', { namespace, name })));
    expect(new Set(all).size).toBe(25);
    expect(all).not.toContain('weir-node1');
  });
});

describe('findPod()', () => {
  const pods = [
    { namespace: 'default', name: 'web' },
    { namespace: 'prod', name: 'web' },
    { namespace: 'prod', name: 'db' },
  ];

  it('finds a pod by its name, or by namespace and name', () => {
    expect(findPod(pods, 'db')).toBe(pods[2]);
    expect(findPod(pods, 'prod/web')).toBe(pods[1]);
  });

  it('refuses a bare name that stands for several pods, and lists them', () => {
    expect(() => findPod(pods, 'web')).toThrow('expected one of "default/web", "prod/web"');
  });

  it.each(['nobody', 'default/db', 'web/default', ''])('finds nothing for "%s"', (reference) => {
    expect(() => findPod(pods, reference)).toThrow(`There is no pod "${reference}"`);
  });
});
