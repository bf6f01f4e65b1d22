/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* Masquerading: what pods send out of the cluster has their node's address. Shared with user space. */

/* A port of the node that a flow of a pod, or of a caller from outside to a service, has towards one remote end. */
struct nat_key {
	union ip_addr remote;
	union ip_addr local; /* the node's */
	__be16 remote_port;  /* 0 for an echo */
	__be16 local_port;   /* of an echo: its identifier */
	__u8 protocol;
	__u8 padding[3];
};

/* Whose flow it is. Times are in ticks, see now_ticks(). */
struct nat_entry {
	union ip_addr address; /* the pod's, or the caller's */
	__be16 port;	       /* that the pod knows of */
	__u8 flags;	       /* enum ct_flag, without who opened it */
	__u8 for_service;      /* 1: of a caller from outside, who takes the remote end for a service */
	__u32 expires;
};

/* Addresses of an uplink, in the name of which pods speak through it; zero: it has none. */
struct uplink {
	union ip_addr ipv4;
	union ip_addr ipv6;
};

/* Makes ports hard to guess. Written once: a port is found again by it. */
struct nat_secret {
	__u64 value;
};

struct nat_counters {
	__u64 mapped;	 /* flows that got a port */
	__u64 retries;	 /* ports that were somebody else's already */
	__u64 exhausted; /* packets of flows for which all ports that were tried were */
};

/* By what answers come to. It is all that is remembered of a flow: see nat_find(). */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct nat_key);
	__type(value, struct nat_entry);
	__uint(max_entries, 65536);
} weir_nat_v1 SEC(".maps");

/* By the index of the interface. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32);
	__type(value, struct uplink);
	__uint(max_entries, 256);
} weir_uplinks_v1 SEC(".maps");

/* 1: pods keep their own addresses there, although it is outside. Looked at when a flow begins. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct ip_prefix);
	__type(value, __u32);
	__uint(max_entries, 4096);
} weir_nat_excluded_v1 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct nat_secret);
	__uint(max_entries, 1);
} weir_nat_secret_v1 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct nat_counters);
	__uint(max_entries, 1);
} weir_nat_counters_v1 SEC(".maps");
