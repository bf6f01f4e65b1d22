/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* The other nodes, as far as packets to and from their pods go through the overlay. Shared with user space. */

/* What this node calls another one by; 0 is nobody's. */
struct node_reference {
	__u32 number;
};

/* Where a node is reached, by its number. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, union ip_addr);
	__uint(max_entries, 16384);
} weir_nodes_v1 SEC(".maps");

/* By every address that a node's own packets, and those that carry its pods' packets, may come from. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, union ip_addr);
	__type(value, struct node_reference);
	__uint(max_entries, 131072);
} weir_node_addresses_v1 SEC(".maps");

/* Which node's pods an address is for. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct ip_prefix);
	__type(value, struct node_reference);
	__uint(max_entries, 65536);
} weir_pod_ranges_v1 SEC(".maps");
