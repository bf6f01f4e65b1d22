/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* Names end in the version of the layout: it rises with every change, so that an old pin is never misread. */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct runtime_state);
	__uint(max_entries, 1);
} weir_runtime_v1 SEC(".maps");

/* By the index of the interface that the pod's packets arrive on. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32);
	__type(value, struct endpoint);
	__uint(max_entries, 4096);
} weir_interfaces_v1 SEC(".maps");

/* By each address of the pod. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, union ip_addr);
	__type(value, struct endpoint);
	__uint(max_entries, 8192);
} weir_endpoints_v1 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, union ip_addr);
	__type(value, struct ipcache_entry);
	__uint(max_entries, 524288);
} weir_ipcache_v1 SEC(".maps");

/* Behind the exact addresses, and looked at only when there is none. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct ip_prefix);
	__type(value, struct ipcache_entry);
	__uint(max_entries, 131072);
} weir_prefixes_v1 SEC(".maps");

/* Mapped into user space, so that a word is stored in one piece: a map update copies bytes. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct policy_word);
	__uint(max_entries, 4096);
} weir_policy_slots_v2 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct policy_key);
	__type(value, struct policy_entry);
	__uint(max_entries, 262144);
} weir_policy_v2 SEC(".maps");

/* Ranges of ports; looked at only by policies that have any. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct policy_range_key);
	__type(value, struct policy_entry);
	__uint(max_entries, 65536);
} weir_policy_ranges_v1 SEC(".maps");

/* By `counter` of a policy entry: what the rules behind it decided on. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct traffic_counter);
	__uint(max_entries, 16384);
} weir_rule_traffic_v1 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct ct_key);
	__type(value, struct ct_entry);
	__uint(max_entries, 131072);
} weir_ct_v2 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct fragment_key);
	__type(value, struct fragment_ports);
	__uint(max_entries, 8192);
} weir_fragments_v1 SEC(".maps");

/* Indexed by reason * 4 + direction. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct traffic_counter);
	__uint(max_entries, 1024);
} weir_metrics_v1 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct event_budget);
	__uint(max_entries, 1);
} weir_event_budget_v1 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} weir_events_v2 SEC(".maps");
