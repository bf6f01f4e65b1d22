// SPDX-License-Identifier: Apache-2.0
// Names of the kernel's numbered lists (`enum bpf_map_type` and so on), in the kernel's order, which never changes.
import { WeirError } from '@weir/errors';

const mapTypes = [
  'unspec',
  'hash',
  'array',
  'prog_array',
  'perf_event_array',
  'percpu_hash',
  'percpu_array',
  'stack_trace',
  'cgroup_array',
  'lru_hash',
  'lru_percpu_hash',
  'lpm_trie',
  'array_of_maps',
  'hash_of_maps',
  'devmap',
  'sockmap',
  'cpumap',
  'xskmap',
  'sockhash',
  'cgroup_storage',
  'reuseport_sockarray',
  'percpu_cgroup_storage',
  'queue',
  'stack',
  'sk_storage',
  'devmap_hash',
  'struct_ops',
  'ringbuf',
  'inode_storage',
  'task_storage',
  'bloom_filter',
  'user_ringbuf',
  'cgrp_storage',
  'arena',
] as const;

const programTypes = [
  'unspec',
  'socket_filter',
  'kprobe',
  'sched_cls',
  'sched_act',
  'tracepoint',
  'xdp',
  'perf_event',
  'cgroup_skb',
  'cgroup_sock',
  'lwt_in',
  'lwt_out',
  'lwt_xmit',
  'sock_ops',
  'sk_skb',
  'cgroup_device',
  'sk_msg',
  'raw_tracepoint',
  'cgroup_sock_addr',
  'lwt_seg6local',
  'lirc_mode2',
  'sk_reuseport',
  'flow_dissector',
  'cgroup_sysctl',
  'raw_tracepoint_writable',
  'cgroup_sockopt',
  'tracing',
  'struct_ops',
  'ext',
  'lsm',
  'sk_lookup',
  'syscall',
  'netfilter',
] as const;

const attachTypes = [
  'cgroup_inet_ingress',
  'cgroup_inet_egress',
  'cgroup_inet_sock_create',
  'cgroup_sock_ops',
  'sk_skb_stream_parser',
  'sk_skb_stream_verdict',
  'cgroup_device',
  'sk_msg_verdict',
  'cgroup_inet4_bind',
  'cgroup_inet6_bind',
  'cgroup_inet4_connect',
  'cgroup_inet6_connect',
  'cgroup_inet4_post_bind',
  'cgroup_inet6_post_bind',
  'cgroup_udp4_sendmsg',
  'cgroup_udp6_sendmsg',
  'lirc_mode2',
  'flow_dissector',
  'cgroup_sysctl',
  'cgroup_udp4_recvmsg',
  'cgroup_udp6_recvmsg',
  'cgroup_getsockopt',
  'cgroup_setsockopt',
  'trace_raw_tp',
  'trace_fentry',
  'trace_fexit',
  'modify_return',
  'lsm_mac',
  'trace_iter',
  'cgroup_inet4_getpeername',
  'cgroup_inet6_getpeername',
  'cgroup_inet4_getsockname',
  'cgroup_inet6_getsockname',
  'xdp_devmap',
  'cgroup_inet_sock_release',
  'xdp_cpumap',
  'sk_lookup',
  'xdp',
  'sk_skb_verdict',
  'sk_reuseport_select',
  'sk_reuseport_select_or_migrate',
  'perf_event',
  'trace_kprobe_multi',
  'lsm_cgroup',
  'struct_ops',
  'netfilter',
  'tcx_ingress',
  'tcx_egress',
] as const;

const linkTypes = [
  'unspec',
  'raw_tracepoint',
  'tracing',
  'cgroup',
  'iter',
  'netns',
  'xdp',
  'perf_event',
  'kprobe_multi',
  'struct_ops',
  'netfilter',
  'tcx',
  'uprobe_multi',
  'netkit',
  'sockmap',
] as const;

/** A kind of map, named as in `bpftool map`. */
export type MapType = (typeof mapTypes)[number];
/** A kind of program, named as in `bpftool prog`. */
export type ProgramType = (typeof programTypes)[number];
/** A hook, named like the kernel's constant without `BPF_`. */
export type AttachType = (typeof attachTypes)[number];
/** A kind of link. */
export type LinkType = (typeof linkTypes)[number];

/** Conversions between the kernel's numbers and their names. */
export interface KernelEnum<Name extends string> {
  readonly names: readonly Name[];
  /** Throws INVALID_ARGUMENT for a name that is not in the list. */
  numberOf(name: Name): number;
  /** A number newer than this list comes back as "unknown(35)". */
  nameOf(number: number): Name | `unknown(${number})`;
}

/** The enums of bpf(2), by the names that libbpf and bpftool print. */
export const mapType = kernelEnum('map type', mapTypes);
export const programType = kernelEnum('program type', programTypes);
export const attachType = kernelEnum('attach type', attachTypes);
export const linkType = kernelEnum('link type', linkTypes);

function kernelEnum<Name extends string>(what: string, names: readonly Name[]): KernelEnum<Name> {
  const numbers = new Map(names.map((name, number) => [name, number]));
  return {
    names,
    numberOf(name) {
      const number = numbers.get(name);
      if (number !== undefined) return number;
      throw new WeirError('INVALID_ARGUMENT', `Unknown ${what} "${name}": expected one of ${names.join(', ')}`);
    },
    nameOf: (number) => names[number] ?? `unknown(${number})`,
  };
}
