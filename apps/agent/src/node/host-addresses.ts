// SPDX-License-Identifier: Apache-2.0
import { subscribeNetlink } from '@weir/bpf-loader-node';
import { type IpAddress, parseIpAddress } from '@weir/model';
import { listAddresses, type Netlink } from '@weir/netlink';

/** An uplink, with the first address of each family that others can reach it by. */
export interface LinkAddresses {
  readonly name: string;
  readonly ifindex: number;
  readonly ipv4: IpAddress | undefined;
  readonly ipv6: IpAddress | undefined;
}

/** The addresses that are the node's own, as they come and go. */
export interface HostAddresses {
  current(): Promise<readonly IpAddress[]>;
  /** Those that other nodes can reach, the first of each device and family before the others. */
  ofUplinks(): Promise<readonly IpAddress[]>;
  byUplink(): Promise<readonly LinkAddresses[]>;
  /** Calls back after something may have changed; returns a function that stops it. */
  onChange(callback: () => void): () => void;
}

// RTNLGRP_IPV4_IFADDR and RTNLGRP_IPV6_IFADDR of linux/rtnetlink.h.
const addressGroups = [5, 9];

// A device that comes up brings several messages at once.
const settleMs = 50;

/*
 * Link-local ones of IPv6 are told from others at the uplinks, where they mean something; one of IPv4 can be told from the
 * neighbour's only by being known.
 */
const isForPackets = ({ scope, family }: { readonly scope: string; readonly family: string }): boolean =>
  scope === 'global' || scope === 'site' || (scope === 'link' && family === 'ipv4');

/** Addresses of every device; those of loopback mean nothing to a packet. */
export function createHostAddresses(
  netlink: Netlink,
  { uplinks }: { readonly uplinks: readonly { readonly name: string; readonly ifindex: number }[] },
): HostAddresses {
  const list = async () => (await netlink.run(listAddresses())).filter(isForPackets);
  const toAddress = ({ address }: { readonly address: string }): IpAddress =>
    parseIpAddress(address.replace(/\/.*$/, ''));
  return {
    current: async () => (await list()).map(toAddress),
    async ofUplinks() {
      const found = (await list()).filter(({ scope }) => scope !== 'link');
      return uplinks.flatMap(({ ifindex }) => found.filter(({ linkIndex }) => linkIndex === ifindex).map(toAddress));
    },
    async byUplink() {
      const usable = (await list()).filter(({ scope, tentative }) => scope !== 'link' && !tentative);
      return uplinks.map(({ name, ifindex }) => {
        const first = (family: 'ipv4' | 'ipv6'): IpAddress | undefined => {
          const found = usable.find((each) => each.linkIndex === ifindex && each.family === family);
          return found && toAddress(found);
        };
        return { name, ifindex, ipv4: first('ipv4'), ipv6: first('ipv6') };
      });
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
