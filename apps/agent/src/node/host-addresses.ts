// SPDX-License-Identifier: Apache-2.0
import { subscribeNetlink } from '@weir/bpf-loader-node';
import { type IpAddress, parseIpAddress } from '@weir/model';
import { listAddresses, type Netlink } from '@weir/netlink';

/** The addresses that are the node's own, as they come and go. */
export interface HostAddresses {
  current(): Promise<readonly IpAddress[]>;
  /** Calls back after something may have changed; returns a function that stops it. */
  onChange(callback: () => void): () => void;
}

// RTNLGRP_IPV4_IFADDR and RTNLGRP_IPV6_IFADDR of linux/rtnetlink.h.
const addressGroups = [5, 9];

// A device that comes up brings several messages at once.
const settleMs = 50;

/** Addresses of every device; loopback and link-local ones mean nothing to a pod. */
export function createHostAddresses(netlink: Netlink): HostAddresses {
  return {
    async current() {
      const addresses = await netlink.run(listAddresses());
      return addresses
        .filter((address) => address.scope === 'global' || address.scope === 'site')
        .map((address) => parseIpAddress(address.address.replace(/\/.*$/, '')));
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
