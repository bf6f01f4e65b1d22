/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * Which port of the node a flow gets. It is computed from the flow and a secret (RFC 6056 3.3.3), and remembered in one
 * place only, by what answers come to: a packet of the flow computes it again. What is forgotten under pressure is, as
 * a rule, found anew at the same port. Where a port is another flow's, the next of a sequence is tried.
 */

#define NAT_TRIES 32

/* Identities of prefixes that policies name. */
#define IDENTITY_PREFIXES_SHIFT 24

/*
 * CT_REMOTE_OUTSIDE if the flow from a pod to `w->destination` leaves the cluster and is to have the node's address.
 * Asked once for a flow, so that a change of ranges breaks none that runs.
 */
static __noinline __u32 nat_wants(const struct work *w)
{
	const __u32 identity = w->destination.identity;
	struct ip_prefix prefix = {.prefix_length = 128};
	const __u32 *excluded;

	if (!config_masquerade_ports || w->destination.ifindex)
		return 0;
	if (identity != IDENTITY_WORLD && identity >> IDENTITY_PREFIXES_SHIFT != 1)
		return 0;
	__builtin_memcpy(prefix.address, &w->packet.destination, sizeof(prefix.address));
	excluded = bpf_map_lookup_elem(&weir_nat_excluded_v1, &prefix);
	return excluded && *excluded ? 0 : CT_REMOTE_OUTSIDE;
}

static __always_inline struct nat_counters *nat_counters(void)
{
	const __u32 zero = 0;

	return bpf_map_lookup_elem(&weir_nat_counters_v1, &zero);
}

/* Multiplication by an odd number spreads low bits upwards, the shift brings them down again. */
static __always_inline __u64 nat_mix(__u64 hash, __u64 value)
{
	hash = (hash ^ value) * 0x9e3779b97f4a7c15ULL;
	return hash ^ hash >> 32;
}

/* Of the flow from `w->nat_entry` to the remote end in `w->nat_key`. */
static __always_inline __u32 nat_hash(const struct work *w)
{
	const struct nat_key *key = &w->nat_key;
	const struct nat_entry *entry = &w->nat_entry;
	const __u32 zero = 0;
	const struct nat_secret *secret = bpf_map_lookup_elem(&weir_nat_secret_v1, &zero);
	__u64 hash = secret ? secret->value : 0;

	hash = nat_mix(hash, entry->address.halves[0]);
	hash = nat_mix(hash, entry->address.halves[1]);
	hash = nat_mix(hash, key->remote.halves[0]);
	hash = nat_mix(hash, key->remote.halves[1]);
	hash = nat_mix(hash, (__u64)entry->port << 24 | (__u64)key->remote_port << 8 | key->protocol);
	return hash;
}

/* A port that may be the flow's. The checksum of SCTP would have to be made anew for another one: it keeps its own. */
static __always_inline __be16 nat_candidate(const struct work *w, __u32 hash, __u32 attempt)
{
	if (w->nat_key.protocol == IPPROTO_SCTP)
		return w->nat_entry.port;
	/* The step is odd, so that no port comes twice where their number is a power of two, and seldom else. */
	return bpf_htons(config_masquerade_first_port + (hash + attempt * (hash >> 15 | 1)) % config_masquerade_ports);
}

static __always_inline bool nat_is_same_flow(const struct nat_entry *entry, const struct nat_entry *wanted)
{
	return entry->port == wanted->port && address_equal(&entry->address, &wanted->address);
}

static __always_inline void nat_account(struct nat_entry *entry, const struct packet *p, bool reply)
{
	const __u8 flags = ct_flags_after(p, opens_connection(p) ? 0 : entry->flags, reply);

	if (flags != entry->flags)
		entry->flags = flags;
	entry->expires = now_ticks() + ct_timeout(p, flags);
}

/* Whether a socket of the host would get the answers to `w->nat_key`. */
static __noinline int nat_is_hosts(struct __sk_buff *skb, const struct work *w)
{
	const struct nat_key *key = &w->nat_key;
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *socket;
	__u32 size;

	if (address_is_ipv4(&key->local)) {
		size = sizeof(tuple.ipv4);
		tuple.ipv4.saddr = key->remote.words[3];
		tuple.ipv4.daddr = key->local.words[3];
		tuple.ipv4.sport = key->remote_port;
		tuple.ipv4.dport = key->local_port;
	} else {
		size = sizeof(tuple.ipv6);
		__builtin_memcpy(tuple.ipv6.saddr, &key->remote, 16);
		__builtin_memcpy(tuple.ipv6.daddr, &key->local, 16);
		tuple.ipv6.sport = key->remote_port;
		tuple.ipv6.dport = key->local_port;
	}
	if (key->protocol == IPPROTO_TCP)
		socket = bpf_skc_lookup_tcp(skb, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	else if (key->protocol == IPPROTO_UDP)
		socket = bpf_sk_lookup_udp(skb, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	else
		return false;
	if (!socket)
		return false;
	bpf_sk_release(socket);
	return true;
}

/* Whether a port is the flow's. Only packets of the flow itself keep it alive. */
static __noinline int nat_find_at(struct work *w, __u32 port, __u32 account)
{
	struct nat_entry *entry;

	w->nat_key.local_port = port;
	entry = bpf_map_lookup_elem(&weir_nat_v1, &w->nat_key);
	if (!entry || !nat_is_same_flow(entry, &w->nat_entry))
		return false;
	if (account)
		nat_account(entry, &w->packet, false);
	return true;
}

enum nat_attempt {
	NAT_TAKEN, /* by another flow, or by the host */
	NAT_OWN,   /* the flow's already */
	NAT_NEW,
};

/* Makes a port the flow's if it can be. Of two CPUs that try, the one that puts the entry down has it. */
static __noinline int nat_take_at(struct __sk_buff *skb, struct work *w, __u32 port)
{
	const __u32 now = now_ticks();
	struct nat_entry *entry;

	w->nat_key.local_port = port;
	entry = bpf_map_lookup_elem(&weir_nat_v1, &w->nat_key);
	if (entry && nat_is_same_flow(entry, &w->nat_entry)) {
		nat_account(entry, &w->packet, false);
		return NAT_OWN;
	}
	if ((entry && !ticks_passed(entry->expires, now)) || nat_is_hosts(skb, w))
		return NAT_TAKEN;
	if (entry)
		bpf_map_delete_elem(&weir_nat_v1, &w->nat_key);
	return bpf_map_update_elem(&weir_nat_v1, &w->nat_key, &w->nat_entry, BPF_NOEXIST) ? NAT_TAKEN : NAT_NEW;
}

/*
 * Finds the port of a running flow and leaves it in `w->nat_key`. Unrolled, here and below, because verifiers up to 6.1
 * refuse some shapes that clang may give to a loop.
 */
static __noinline int nat_find(struct work *w, __u32 account)
{
	const __u32 hash = nat_hash(w);

#pragma unroll
	for (__u32 attempt = 0; attempt < NAT_TRIES; attempt++)
		if (nat_find_at(w, nat_candidate(w, hash, attempt), account))
			return FORWARDED;
	return DROP_NAT_NO_MAPPING;
}

/* Takes a port for the flow and leaves it in `w->nat_key`; its own, if it has one by now. */
static __noinline int nat_take(struct __sk_buff *skb, struct work *w)
{
	struct nat_counters *counters = nat_counters();
	const __u32 hash = nat_hash(w);

	if (!counters)
		return DROP_NAT_NO_MAPPING;
	w->nat_entry.flags = ct_flags_after(&w->packet, 0, false);
	w->nat_entry.for_service = w->for_service;
	w->nat_entry.expires = now_ticks() + ct_timeout(&w->packet, w->nat_entry.flags);
#pragma unroll
	for (__u32 attempt = 0; attempt < NAT_TRIES; attempt++) {
		const int result = nat_take_at(skb, w, nat_candidate(w, hash, attempt));

		if (result == NAT_NEW) {
			counters->mapped++;
			counters->retries += attempt;
		}
		if (result != NAT_TAKEN)
			return FORWARDED;
	}
	counters->retries += NAT_TRIES;
	counters->exhausted++;
	return DROP_NAT_NO_MAPPING;
}
