// SPDX-License-Identifier: Apache-2.0
// A hundred pods at once, and nothing left of them: of the agent, of the kernel, of the lab.
import { expect, it } from '@jest/globals';
import type { Pod } from '@weir/lab';
import { inventory, kernelObjects, openFiles, residentMiB } from './testing/inventory.ts';
import { fromPods, onHttp, onPort, policy } from './testing/policy.ts';
import { ping } from './testing/reach.ts';
import { pidOf } from './testing/services.ts';
import { families, useLab, type PlayedPod } from './testing/use-lab.ts';

const podCount = 100;
const memoryMiBMax = 120;
const names = Array.from({ length: podCount }, (_, index) => `pod-${index}`);

let first: PlayedPod;
const test = useLab('many', async ({ pod }) => {
  first = await pod('first', { labels: { app: 'first' } });
});

const addAll = (): Promise<Pod[]> =>
  Promise.all(names.map((name, index) => test.lab.addPod({ name, labels: { app: `app-${index % 10}` } })));
const removeAll = (): Promise<unknown> => Promise.all(names.map((name) => test.lab.removePod(name)));

it('a hundred pods are made and removed at the same time, twice, and leave nothing', async () => {
  await test.apply(
    policy('friends', { app: 'app-0' }, { ingress: [{ ...fromPods({ app: 'app-1' }), ...onPort(80) }] }),
    policy('http', { app: 'app-2' }, { ingress: [onHttp(80, { path: '/' })] }),
  );
  const pid = await pidOf(test.lab, 'node1/agent');
  // The first pods make what stays: identities, and the memory of the programs themselves.
  const warm = await addAll();
  await removeAll();
  const [before, files, objects] = [await inventory(test.lab), openFiles(pid), await kernelObjects(test.lab)];

  const pods = await addAll();
  for (const family of families) {
    const addresses = pods.map((pod) => pod[family]);
    expect(new Set(addresses).size).toBe(podCount);
    // Whoever still knows an address that has become free has time to forget it.
    const known = new Set(warm.map((pod) => pod[family]));
    expect(addresses.filter((address) => known.has(address))).toEqual([]);
  }
  expect(new Set(pods.map(({ identity }) => identity)).size).toBe(10);
  expect(new Set(pods.map(({ endpointId }) => endpointId)).size).toBe(podCount);
  expect(await inventory(test.lab)).toMatchObject({ endpoints: [podCount + 1, podCount + 1] });
  expect(residentMiB(pid)).toBeLessThan(memoryMiBMax);
  const some = [pods[0]!, pods[37]!, pods[99]!];
  for (const family of families) {
    for (const pod of some.filter(({ name }) => name !== 'pod-0')) {
      expect(await ping(test, 'first', pod[family])).toBe(true);
      expect(await ping(test, pod.name, first[family])).toBe(true);
    }
  }

  await removeAll();
  expect(await inventory(test.lab)).toEqual(before);
  expect(await kernelObjects(test.lab)).toEqual(objects);
  expect(openFiles(pid)).toBeLessThanOrEqual(files);
  expect(await pidOf(test.lab, 'node1/agent')).toBe(pid);
});

it('a pod that is added and removed at the same time as others is told apart from them', async () => {
  const before = await inventory(test.lab);
  // Twice the same name: one wins.
  const outcomes = await Promise.allSettled([
    test.lab.addPod({ name: 'twice' }),
    test.lab.addPod({ name: 'twice' }),
    test.lab.addPod({ name: 'other' }),
  ]);
  const [one, two, other] = outcomes.map(({ status }) => status);
  expect([[one, two].sort(), other]).toEqual([['fulfilled', 'rejected'], 'fulfilled']);
  await Promise.all([test.lab.removePod('other'), test.lab.removePod('twice')]);
  expect(await inventory(test.lab)).toEqual(before);
});
