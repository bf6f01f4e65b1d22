// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from 'node:crypto';
import { openNetworkNamespace } from '@weir/bpf-loader-node';
import { WeirError } from '@weir/errors';
import { formatIpAddress, type IpAddress } from '@weir/model';
import {
  addAddress,
  addNeighbour,
  addRoute,
  addVeth,
  createNetlink,
  deleteLink,
  getLink,
  listAddresses,
  listLinks,
  type Netlink,
  type Operation,
  setLink,
  tolerating,
} from '@weir/netlink';
import { gatewayMac, setSysctl } from '../node/node-network.ts';

/** Name of the host side of an endpoint's veth. */
export const hostInterfaceOf = (id: number): string => `weir${id}`;

const hostInterfacePattern = /^weir[1-9]\d{0,4}$/;

/** One family's address of a pod, and the gateway it sees. */
export interface PodAddress {
  readonly address: IpAddress;
  readonly gateway: IpAddress;
}

/** What a pod's network is made of. */
export interface PodNetworkSpec {
  /** Path of the pod's network namespace. */
  readonly netns: string;
  readonly ifName: string;
  readonly hostInterface: string;
  readonly mtu: number;
  readonly addresses: readonly PodAddress[];
}

/** A pod's veth, with its host side still down: nothing can be sent before the programs are attached. */
export interface PodLink {
  readonly hostIfindex: number;
  /** Of the interface inside the pod, `aa:bb:cc:dd:ee:ff`. */
  readonly mac: string;
}

/** Makes and removes the devices of pods. */
export interface PodNetwork {
  /** Rejects, with nothing left behind, with NOT_FOUND when there is no such namespace. */
  create(spec: PodNetworkSpec): Promise<PodLink>;
  /** Lets packets flow. */
  open(link: Pick<PodLink, 'hostIfindex'>): Promise<void>;
  /** Takes both ends away; what is gone already is not an error. */
  remove(hostInterface: string): Promise<void>;
  /** Host sides of pods that are on the node: name → index. */
  hostInterfaces(): Promise<ReadonlyMap<string, number>>;
  /** What the interface in the pod has, `address/length`. NOT_FOUND: no such namespace or interface; it must be up. */
  addressesOf(pod: { readonly netns: string; readonly ifName: string }): Promise<readonly string[]>;
}

/** A locally administered unicast address (IEEE 802-2014 8.4). */
function randomMac(): string {
  const bytes = randomBytes(6);
  bytes.writeUInt8((bytes.readUInt8(0) & 0xfc) | 0x02, 0);
  return bytes.toString('hex').replace(/(..)(?=.)/g, '$1:');
}

function addressOperations(linkIndex: number, { address, gateway }: PodAddress): Operation<void>[] {
  const own = formatIpAddress(address);
  const via = formatIpAddress(gateway);
  const host = own.includes(':') ? 128 : 32;
  return [
    addAddress({ linkIndex, address: `${own}/${host}`, noDuplicateDetection: true }),
    // The gateway is known, so that the first packet does not wait for an answer.
    addNeighbour({ linkIndex, address: via, macAddress: gatewayMac }),
    addRoute({ destination: `${via}/${host}`, linkIndex, scope: 'link' }),
    addRoute({ destination: own.includes(':') ? '::/0' : '0.0.0.0/0', gateway: via, linkIndex }),
  ];
}

const ifGone = <T>(operation: Operation<T>, instead: T): Operation<T> =>
  tolerating(operation, { code: 'NOT_FOUND', result: instead });

/** `netlink` is the node's. */
export function createPodNetwork(netlink: Netlink): PodNetwork {
  const remove = (hostInterface: string): Promise<void> =>
    netlink.run(ifGone(deleteLink({ name: hostInterface }), undefined));

  const configurePod = async (spec: PodNetworkSpec, pod: Netlink): Promise<void> => {
    const { index } = await pod.run(getLink({ name: spec.ifName }));
    await pod.batch([
      setLink({ index }, { up: true }),
      ...spec.addresses.flatMap((address) => addressOperations(index, address)),
    ]);
  };

  return {
    async create(spec) {
      using netns = openNetworkNamespace(spec.netns);
      const { hostInterface, ifName, mtu } = spec;
      const mac = randomMac();
      const veth = addVeth({
        name: hostInterface,
        macAddress: gatewayMac,
        mtu,
        peer: { name: ifName, macAddress: mac, mtu, netns },
      });
      // A device of that name belongs to nobody any more: endpoint ids are unique among the living.
      const [, , link] = await netlink.batch([
        ifGone(deleteLink({ name: hostInterface }), undefined),
        veth,
        getLink({ name: hostInterface }),
      ]);
      try {
        using pod = createNetlink({ netns });
        setSysctl(`ipv6/conf/${hostInterface}/addr_gen_mode`, '1');
        setSysctl(`ipv4/conf/${hostInterface}/rp_filter`, '0');
        await configurePod(spec, pod);
      } catch (error) {
        await remove(hostInterface);
        throw error;
      }
      return { hostIfindex: link.index, mac };
    },
    open: ({ hostIfindex }) => netlink.run(setLink({ index: hostIfindex }, { up: true })),
    remove,
    async hostInterfaces() {
      const links = await netlink.run(listLinks({ kind: 'veth' }));
      return new Map(links.flatMap(({ name, index }) => (hostInterfacePattern.test(name) ? [[name, index]] : [])));
    },
    async addressesOf({ netns: path, ifName }) {
      using netns = openNetworkNamespace(path);
      using pod = createNetlink({ netns });
      const link = await pod.run(getLink({ name: ifName }));
      if (!link.up) throw new WeirError('FAILED_PRECONDITION', `The interface "${ifName}" in "${path}" is down`);
      const addresses = await pod.run(listAddresses({ linkIndex: link.index }));
      return addresses.map((each) => each.address);
    },
  };
}
