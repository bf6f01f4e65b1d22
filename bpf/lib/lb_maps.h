/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* The maps of load balancing, which the programs at sockets share with those at devices. */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct lb_frontend_key);
	__type(value, struct lb_frontend);
	__uint(max_entries, 262144);
} weir_lb_frontends_v1 SEC(".maps");

/* Those of them that callers from outside reach, too, at the uplinks. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct lb_frontend_key);
	__type(value, struct lb_frontend);
	__uint(max_entries, 262144);
} weir_lb_outside_v1 SEC(".maps");

/* Mapped into user space, so that a word is stored in one piece. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct lb_pool);
	__uint(max_entries, 262144);
} weir_lb_pools_v1 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct lb_slot_key);
	__type(value, struct lb_slot);
	__uint(max_entries, 1048576);
} weir_lb_slots_v1 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct lb_backend);
	__uint(max_entries, 1048576);
} weir_lb_backends_v1 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct lb_affinity_key);
	__type(value, struct lb_affinity);
	__uint(max_entries, 65536);
} weir_lb_affinity_v1 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct lb_socket_key);
	__type(value, struct lb_socket);
	__uint(max_entries, 131072);
} weir_lb_sockets_v1 SEC(".maps");

/* Whose turn it is in each pool that goes round. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 262144);
} weir_lb_turns_v1 SEC(".maps");

/* Backends by the hash of a flow. Its size is the pool's: any in an array that may be an inner map of another size. */
struct lb_maglev_table {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE | BPF_F_INNER_MAP);
	__type(key, __u32);
	__type(value, __u64); /* struct lb_maglev_pair */
	__uint(max_entries, 1);
};

/* The tables of pools that choose by Maglev; only those have one. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__uint(max_entries, 65536);
	__array(values, struct lb_maglev_table);
} weir_lb_maglev_v1 SEC(".maps");

/* By backend; made by the first connection. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct lb_counter);
	__uint(max_entries, 1048576);
} weir_lb_counters_v2 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct lb_flow_key);
	__type(value, struct lb_flow);
	__uint(max_entries, 131072);
} weir_lb_flows_v1 SEC(".maps");
