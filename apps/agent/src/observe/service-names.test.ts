// SPDX-License-Identifier: Apache-2.0
import { beforeEach, expect, it } from '@jest/globals';
import { createServiceNames, type ServiceEnd, type ServiceNames } from './service-names.ts';

const front: ServiceEnd = { address: '10.96.0.1', port: 80, protocol: 6 };
const [one, two] = ['10.1.0.1', '10.1.0.2'].map((address) => ({ address, port: 8080, protocol: 6 })) as [
  ServiceEnd,
  ServiceEnd,
];
const namespace = 'shop';

let names: ServiceNames;
beforeEach(() => {
  names = createServiceNames();
});
const put = (
  name: string,
  backends: readonly ServiceEnd[],
  atMs: number,
  frontends: readonly ServiceEnd[] = [],
): void => names.put({ namespace, name, frontends, backends }, atMs);
const nameOf = (end: ServiceEnd, timeMs: number): string | null | undefined => names.find(end, timeMs)?.name;

it('a service is found by its frontends and backends, one and the same object, from its time on', () => {
  put('web', [one], 10, [front]);
  expect(names.find(front, 10)).toEqual({ namespace, name: 'web' });
  expect(names.find(one, 11)).toBe(names.find(front, 10));
  expect([nameOf(front, 9), nameOf(two, 11), nameOf({ ...front, protocol: 17 }, 11)]).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
});

it('what a service had is remembered at its time', () => {
  put('web', [one], 10, [front]);
  put('web', [two], 20, [front]);
  names.remove(`${namespace}/web`, 30);
  expect([15, 25, 35].map((timeMs) => [nameOf(front, timeMs), nameOf(one, timeMs), nameOf(two, timeMs)])).toEqual([
    ['web', 'web', undefined],
    ['web', undefined, 'web'],
    [undefined, undefined, undefined],
  ]);
});

it('a backend of several services is of none, and one that clients call is of that one', () => {
  put('web', [one], 10);
  put('admin', [one], 20);
  expect([nameOf(one, 15), nameOf(one, 25)]).toEqual(['web', undefined]);
  names.remove(`${namespace}/admin`, 30);
  put('direct', [], 40, [one]);
  expect([nameOf(one, 35), nameOf(one, 45)]).toEqual(['web', 'direct']);
});

it('what is over is forgotten', () => {
  put('web', [one], 10, [front]);
  names.remove(`${namespace}/web`, 20);
  names.prune(15);
  expect(nameOf(front, 15)).toBe('web');
  names.prune(25);
  expect(nameOf(front, 15)).toBeUndefined();
});
