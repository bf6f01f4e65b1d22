// SPDX-License-Identifier: Apache-2.0
// The numbers of rtnetlink, under the names the kernel's headers give them (linux/netlink.h, rtnetlink.h, if_link.h,
// if_addr.h, fib_rules.h, neighbour.h, veth.h). They are kernel ABI: they never change.

/** Message types (`RTM_*`). */
export const RTM = {
  NEWLINK: 16,
  DELLINK: 17,
  GETLINK: 18,
  SETLINK: 19,
  NEWADDR: 20,
  DELADDR: 21,
  GETADDR: 22,
  NEWROUTE: 24,
  DELROUTE: 25,
  GETROUTE: 26,
  NEWNEIGH: 28,
  DELNEIGH: 29,
  GETNEIGH: 30,
  NEWRULE: 32,
  DELRULE: 33,
  GETRULE: 34,
} as const;

/** Message header flags (`NLM_F_*`). */
export const NLM_F = {
  REQUEST: 0x1,
  ACK: 0x4,
  DUMP: 0x300,
  REPLACE: 0x100,
  EXCL: 0x200,
  CREATE: 0x400,
} as const;

/** Address families (`AF_*`). */
export const AF = { UNSPEC: 0, INET: 2, INET6: 10 } as const;

/** Interface flags (`IFF_*`). */
export const IFF = { UP: 0x1, LOOPBACK: 0x8, NOARP: 0x80, LOWER_UP: 0x10000 } as const;

/** Link attributes (`IFLA_*`). */
export const IFLA = {
  ADDRESS: 1,
  IFNAME: 3,
  MTU: 4,
  LINK: 5,
  MASTER: 10,
  LINKINFO: 18,
  GROUP: 27,
  NET_NS_FD: 28,
  EXT_MASK: 29,
} as const;

/** Attributes inside `IFLA_LINKINFO`. */
export const IFLA_INFO = { KIND: 1, DATA: 2 } as const;

/** `VETH_INFO_PEER`, inside `IFLA_INFO_DATA` of a veth: an ifinfomsg and link attributes. */
export const VETH_INFO_PEER = 1;

/** Bridge attributes (`IFLA_BR_*`), inside `IFLA_INFO_DATA`. */
export const IFLA_BR = { MCAST_SNOOPING: 23 } as const;

/** VXLAN attributes (`IFLA_VXLAN_*`), inside `IFLA_INFO_DATA`. */
export const IFLA_VXLAN = { ID: 1, LINK: 3, LEARNING: 7, PORT: 15, COLLECT_METADATA: 25 } as const;

/** Address attributes (`IFA_*`). */
export const IFA = { ADDRESS: 1, LOCAL: 2, BROADCAST: 4, FLAGS: 8 } as const;

/** Address flags (`IFA_F_*`). */
export const IFA_F = { NODAD: 0x02, DADFAILED: 0x08, TENTATIVE: 0x40, PERMANENT: 0x80, NOPREFIXROUTE: 0x200 } as const;

/** Route attributes (`RTA_*`). */
export const RTA = {
  DST: 1,
  OIF: 4,
  GATEWAY: 5,
  PRIORITY: 6,
  PREFSRC: 7,
  METRICS: 8,
  TABLE: 15,
  VIA: 18,
} as const;

/** Route metrics (`RTAX_*`), inside `RTA_METRICS`. */
export const RTAX = { MTU: 2, ADVMSS: 8 } as const;

/** Route types (`RTN_*`). */
export const RTN = { UNSPEC: 0, UNICAST: 1, LOCAL: 2, BLACKHOLE: 6, UNREACHABLE: 7, PROHIBIT: 8 } as const;

/** Scopes of routes and addresses (`RT_SCOPE_*`). */
export const RT_SCOPE = { UNIVERSE: 0, SITE: 200, LINK: 253, HOST: 254, NOWHERE: 255 } as const;

/** Who made a route or a rule (`RTPROT_*`); user space may use 5–255 as it likes. */
export const RTPROT = { UNSPEC: 0, STATIC: 4 } as const;

/** Routing tables (`RT_TABLE_*`). */
export const RT_TABLE = { UNSPEC: 0, MAIN: 254 } as const;

/** Next-hop flags (`RTNH_F_*`). */
export const RTNH_F = { ONLINK: 4 } as const;

/** Rule attributes (`FRA_*`). */
export const FRA = {
  DST: 1,
  SRC: 2,
  IIFNAME: 3,
  PRIORITY: 6,
  FWMARK: 10,
  TABLE: 15,
  FWMASK: 16,
  OIFNAME: 17,
  PROTOCOL: 21,
} as const;

/** Rule actions (`FR_ACT_*`). */
export const FR_ACT = { TO_TBL: 1, BLACKHOLE: 6, UNREACHABLE: 7, PROHIBIT: 8 } as const;

/** Neighbour attributes (`NDA_*`). */
export const NDA = { DST: 1, LLADDR: 2, IFINDEX: 8 } as const;

/** Neighbour states (`NUD_*`). */
export const NUD = {
  INCOMPLETE: 0x01,
  REACHABLE: 0x02,
  STALE: 0x04,
  DELAY: 0x08,
  PROBE: 0x10,
  FAILED: 0x20,
  NOARP: 0x40,
  PERMANENT: 0x80,
} as const;

/** `RTEXT_FILTER_SKIP_STATS`: leaves the counters out of link dumps, which makes them a third of the size. */
export const RTEXT_FILTER_SKIP_STATS = 0x8;

/** Multicast groups (`RTNLGRP_*`). */
export const RTNLGRP = {
  LINK: 1,
  NEIGH: 3,
  IPV4_IFADDR: 5,
  IPV4_ROUTE: 7,
  IPV4_RULE: 8,
  IPV6_IFADDR: 9,
  IPV6_ROUTE: 11,
  IPV6_RULE: 19,
} as const;
