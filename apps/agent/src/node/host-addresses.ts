// SPDX-License-Identifier: Apache-2.0
import { subscribeNetlink } from '@weir/bpf-loader-node';
import { type IpAddress, parseIpAddress } from '@weir/model';
import { listAddresses, type Netlink } from '@weir/netlink';

/** The addresses that are the node's own, as they come and go. */
export interface HostAddresses {
  current(): Promise<readonly IpAddress[]>;
  /** Those that other nodes can reach, the first of each device and family before the others. */
  ofUplinks(): Promise<readonly IpAddress[]>;
  /** Calls back after something may have changed; returns a function that stops it. */
  onChange(callback: () => void): () => void;
}

// RTNLGRP_IPV4_IFADDR and RTNLGRP_IPV6_IFADDR of linux/rtnetlink.h.
const addressGroups = [5, 9];

// A device that comes up brings several messages at once.
const settleMs = 50;

/** Addresses of every device; loopback and link-local ones mean nothing to a pod. */
export function createHostAddresses(
  netlink: Netlink,
  { uplinks }: { readonly uplinks: readonly { readonly ifindex: number }[] },
): HostAddresses {
  const list = async (): Promise<{ readonly address: IpAddress; readonly linkIndex: number }[]> => {
    const addresses = await netlink.run(listAddresses());
    return addresses
      .filter((address) => address.scope === 'global' || address.scope === 'site')
      .map(({ address, linkIndex }) => ({ address: parseIpAddress(address.replace(/\/.*$/, '')), linkIndex }));
  };
  return {
    current: async () => (await list()).map(({ address }) => address),
    async ofUplinks() {
      const found = await list();
      return uplinks.flatMap(({ ifindex }) =>
        found.filter(({ linkIndex }) => linkIndex === ifindex).map(({ address }) => address),
      );
    },
    onChange(callback) {
      let timer: NodeJS.Timeout | undefined;
      const soon = (): void => {
        timer ??= setTimeout(() => {
          timer = undefined;
          callback();
        }, settleMs);
      };
      const subscription = subscribeNetlink({ groups: addressGroups, onMessages: soon, onLost: soon });
      return () => {
        clearTimeout(timer);
        subscription.close();
      };
    },
  };
}
