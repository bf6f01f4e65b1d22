// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { createPodNames } from './pod-names.ts';

const address = '10.2.0.7';
const pod = (name: string, at = address) => ({ address: at, namespace: 'default', pod: name });

describe('createPodNames', () => {
  it('names the pod that had the address at the time, also when another one has it now', () => {
    const names = createPodNames();
    names.put(pod('a'), 100);
    names.remove(address, 200);
    names.put(pod('b'), 300);
    expect([150, 250, 350].map((timeMs) => names.find(address, timeMs)?.pod)).toEqual(['a', 'a', 'b']);
  });

  it('gives one object for a pod that is told of again, so that what is worked out of it stays', () => {
    const names = createPodNames();
    names.put(pod('a'), 100);
    const known = names.find(address, 400);
    names.put(pod('a'), 300);
    expect(names.find(address, 400)).toBe(known);
  });

  it('knows a limited number of addresses, and others again when those are gone', () => {
    const names = createPodNames(1);
    names.put(pod('a'), 100);
    names.put(pod('b', '10.2.0.8'), 100);
    names.put(pod('c'), 200);
    expect([names.find('10.2.0.8', 200), names.find(address, 200)?.pod]).toEqual([undefined, 'c']);
    names.remove(address, 300);
    names.prune(400);
    names.put(pod('b', '10.2.0.8'), 400);
    expect(names.find('10.2.0.8', 400)?.pod).toBe('b');
  });
});
