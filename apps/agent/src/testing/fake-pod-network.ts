// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import type { PodNetwork } from '../cni/pod-network.ts';

/** Devices in memory. */
export interface FakePodNetwork extends PodNetwork {
  /** Host sides that are there: name → index. */
  readonly devices: Map<string, number>;
  /** Indexes of those that let packets flow. */
  readonly opened: Set<number>;
}

/** Every device gets an index of its own. A namespace whose path has `missing` in it does not exist. */
export function createFakePodNetwork(): FakePodNetwork {
  const devices = new Map<string, number>();
  const opened = new Set<number>();
  let next = 100;
  return {
    devices,
    opened,
    async create({ hostInterface, netns }) {
      if (netns.includes('missing')) throw new WeirError('NOT_FOUND', `There is no network namespace "${netns}"`);
      devices.set(hostInterface, ++next);
      return { hostIfindex: next, mac: '02:00:00:00:00:01' };
    },
    async open({ hostIfindex }) {
      if (![...devices.values()].includes(hostIfindex)) throw new WeirError('NOT_FOUND', 'No such device');
      opened.add(hostIfindex);
    },
    async remove(hostInterface) {
      opened.delete(devices.get(hostInterface) ?? 0);
      devices.delete(hostInterface);
    },
    addressesOf: async () => [],
    hostInterfaces: async () => new Map(devices),
  };
}
