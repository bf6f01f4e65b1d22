// SPDX-License-Identifier: Apache-2.0
import { lanDevice, lanMtu, type HostPlan, type NetworkPlan } from './plan.ts';

/** What makes a fresh network namespace what it is to be. */
export interface NamespaceSetup {
  readonly netns: string;
  /** Below /proc/sys/net; those that this kernel does not have are left out. */
  readonly sysctls: Readonly<Record<string, number>>;
  /** Lines for `ip -batch`. */
  readonly ip: readonly string[];
}

// The lab is to be quiet and up at once: no spanning tree, no snooping that loses the first neighbour solicitations, no
// duplicate address detection, and no address but ours.
const quiet = {
  'ipv6/conf/all/accept_ra': 0,
  'ipv6/conf/default/accept_ra': 0,
  'ipv6/conf/all/accept_dad': 0,
  'ipv6/conf/default/accept_dad': 0,
};
// A node's kernel must not second-guess where packets of pods come from.
const router = {
  'ipv4/ip_forward': 1,
  'ipv6/conf/all/forwarding': 1,
  'ipv4/conf/all/rp_filter': 0,
  'ipv4/conf/default/rp_filter': 0,
  'ipv4/conf/all/send_redirects': 0,
  'ipv4/conf/default/send_redirects': 0,
};
// Where the module is loaded it would send bridged packets through iptables.
const plainBridge = {
  'bridge/bridge-nf-call-iptables': 0,
  'bridge/bridge-nf-call-ip6tables': 0,
};

/** The set-up of every namespace of the plan. The LAN comes first: it makes the others' interfaces. */
export function namespaceSetups(plan: NetworkPlan): readonly NamespaceSetup[] {
  const { world, nodes } = plan;
  return [
    { netns: plan.lanNetns, sysctls: { ...quiet, ...plainBridge }, ip: lanLines([world, ...nodes]) },
    { netns: world.netns, sysctls: { ...quiet, ...router }, ip: [...hostLines(world), ...podRoutes(plan)] },
    ...nodes.map((node) => ({
      netns: node.netns,
      sysctls: { ...quiet, ...router },
      ip: [...hostLines(node), ...routes('default', 'default', world)],
    })),
  ];
}

const lanLines = (hosts: readonly HostPlan[]): string[] => [
  'link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0',
  'link set br0 mtu 1500 up',
  ...hosts.flatMap(({ netns, port }) => [
    `link add ${port} mtu ${lanMtu} type veth peer name ${lanDevice} mtu ${lanMtu} netns ${netns}`,
    `link set ${port} master br0 up`,
  ]),
];

const hostLines = ({ address }: HostPlan): string[] => [
  `address add ${address.ipv4}/24 dev ${lanDevice}`,
  `address add ${address.ipv6}/64 dev ${lanDevice} nodad`,
  `link set ${lanDevice} up`,
];

const podRoutes = ({ nodes }: NetworkPlan): string[] =>
  nodes.flatMap((node) => routes(node.podRange.ipv4, node.podRange.ipv6, node));

const routes = (ipv4: string, ipv6: string, via: HostPlan): string[] => [
  `route add ${ipv4} via ${via.address.ipv4}`,
  `route add ${ipv6} via ${via.address.ipv6}`,
];
