/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* Masquerading: packets of pods get the node's address where they leave, and answers the pod's where they arrive. */

#define NAT_NOT_OURS (-1)

enum nat_end {
	NAT_SOURCE,
	NAT_DESTINATION,
};

/* RFC 1624, with a difference as bpf_csum_diff() gives it. */
static __always_inline __sum16 nat_checksum(__sum16 old, __u32 difference)
{
	__u64 sum = (__u16)~old + (__u64)difference;

	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* Where a transport header has its checksum; 0: it has none that addresses and ports are part of. */
static __always_inline __u32 nat_checksum_offset(__u8 protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return 16;
	case IPPROTO_UDP:
		return 6;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return offsetof(struct icmp_head, checksum);
	default:
		return 0;
	}
}

static __always_inline __u32 nat_port_offset(__u8 protocol, enum nat_end end)
{
	if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6)
		return offsetof(struct icmp_head, identifier);
	return end == NAT_SOURCE ? offsetof(struct ports, source) : offsetof(struct ports, destination);
}

static __always_inline __u32 nat_address_offset(bool is_ipv4, enum nat_end end)
{
	if (is_ipv4)
		return end == NAT_SOURCE ? offsetof(struct iphdr, saddr) : offsetof(struct iphdr, daddr);
	return end == NAT_SOURCE ? offsetof(struct ipv6hdr, saddr) : offsetof(struct ipv6hdr, daddr);
}

/*
 * Of IPv6, what the checksum takes back is in the header, too, so that a sum over all of the packet stays what it was;
 * kernels from 6.16 on want to be told, older ones must not be.
 */
#define NAT_CHECKSUM_IPV6 (1 << 7)

static __always_inline void nat_fix_checksum(struct __sk_buff *skb, const struct packet *p, __u32 difference)
{
	const __u32 offset = p->l4_offset + nat_checksum_offset(p->protocol);
	const __u64 flags = BPF_F_PSEUDO_HDR | (p->protocol == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0);

	if (p->is_ipv4 || bpf_l4_csum_replace(skb, offset, 0, difference, flags | NAT_CHECKSUM_IPV6))
		bpf_l4_csum_replace(skb, offset, 0, difference, flags);
}

/* Writes an address into the header at `offset`, with its checksum, and returns the difference that it makes. */
static __always_inline __u32 nat_write_address(struct __sk_buff *skb, __u32 offset, const union ip_addr *old,
					       const union ip_addr *address)
{
	if (address_is_ipv4(address)) {
		bpf_skb_store_bytes(skb, offset, &address->words[3], 4, 0);
		return bpf_csum_diff((__be32 *)&old->words[3], 4, (__be32 *)&address->words[3], 4, 0);
	}
	bpf_skb_store_bytes(skb, offset, address, 16, 0);
	return bpf_csum_diff((__be32 *)old->words, 16, (__be32 *)address->words, 16, 0);
}

/*
 * Puts `address` and `port` in the place of one end of the packet, in the packet itself and in what is known of it. A
 * port of 0 stays. Later fragments have an address only.
 */
static __noinline int nat_rewrite(struct __sk_buff *skb, struct work *w, const union ip_addr *address, __be16 port,
				  __u32 end)
{
	struct packet *p = &w->packet;
	union ip_addr *old = end == NAT_SOURCE ? &p->source : &p->destination;
	__be16 *old_port = end == NAT_SOURCE ? &p->source_port : &p->destination_port;
	const __u32 difference = nat_write_address(skb, ETH_HLEN + nat_address_offset(p->is_ipv4, end), old, address);

	if (p->is_ipv4)
		bpf_l3_csum_replace(skb, ETH_HLEN + offsetof(struct iphdr, check), 0, difference, 0);
	if (p->fragment != FRAGMENT_LATER && nat_checksum_offset(p->protocol)) {
		if (p->protocol != IPPROTO_ICMP)
			nat_fix_checksum(skb, p, difference);
		if (port && port != *old_port) {
			const __u64 flags = sizeof(port) | (p->protocol == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0);

			bpf_l4_csum_replace(skb, p->l4_offset + nat_checksum_offset(p->protocol), *old_port, port,
					    flags);
			if (bpf_skb_store_bytes(skb, p->l4_offset + nat_port_offset(p->protocol, end), &port,
						sizeof(port), 0))
				return DROP_INVALID_PACKET;
		}
	}
	*old = *address;
	if (port)
		*old_port = port;
	return FORWARDED;
}

/* The difference that it makes to a sum if `after` takes the place of `before`. */
static __always_inline __u32 nat_difference(__be16 before, __be16 after, __u32 sum)
{
	__be32 from = before, to = after;

	return bpf_csum_diff(&from, sizeof(from), &to, sizeof(to), sum);
}

/*
 * The same for an end of the packet that an ICMP error quotes, as far as it quotes it. The sum of the error itself
 * covers all that changes.
 */
static __noinline int nat_rewrite_quoted(struct __sk_buff *skb, struct work *w, const union ip_addr *address,
					 __be16 port, __u32 end)
{
	const struct packet *p = &w->packet, *q = &w->quoted;
	const union ip_addr *old = end == NAT_SOURCE ? &q->source : &q->destination;
	const __be16 old_port = end == NAT_SOURCE ? q->source_port : q->destination_port;
	const __u32 header = p->l4_offset + ICMP_HEAD_LENGTH;
	const __u32 checksum = nat_checksum_offset(q->protocol);
	__u32 pseudo = nat_write_address(skb, header + nat_address_offset(q->is_ipv4, end), old, address);
	__u32 sum = pseudo;
	__sum16 before, after;

	if (q->is_ipv4) {
		const __u32 offset = header + offsetof(struct iphdr, check);

		bpf_skb_load_bytes(skb, offset, &before, sizeof(before));
		after = nat_checksum(before, pseudo);
		bpf_skb_store_bytes(skb, offset, &after, sizeof(after), 0);
		sum = nat_difference(before, after, sum);
	}
	if (q->protocol == IPPROTO_ICMP)
		pseudo = 0;
	bpf_skb_store_bytes(skb, q->l4_offset + nat_port_offset(q->protocol, end), &port, sizeof(port), 0);
	pseudo = nat_difference(old_port, port, pseudo);
	sum = nat_difference(old_port, port, sum);
	if (checksum && !bpf_skb_load_bytes(skb, q->l4_offset + checksum, &before, sizeof(before)) &&
	    (before || q->protocol != IPPROTO_UDP)) {
		after = nat_checksum(before, pseudo);
		if (!after && q->protocol == IPPROTO_UDP)
			after = 0xffff;
		bpf_skb_store_bytes(skb, q->l4_offset + checksum, &after, sizeof(after), 0);
		sum = nat_difference(before, after, sum);
	}
	return bpf_l4_csum_replace(skb, p->l4_offset + offsetof(struct icmp_head, checksum), 0, sum, 0)
		   ? DROP_INVALID_PACKET
		   : FORWARDED;
}

/* Flows that have something to be told apart by, when they come from one address. */
static __always_inline bool nat_is_supported(const struct packet *p)
{
	if (p->protocol == IPPROTO_ICMP || p->protocol == IPPROTO_ICMPV6)
		return p->key_flags == CT_KEY_ASKED_BY_LOW;
	return p->protocol == IPPROTO_TCP || p->protocol == IPPROTO_UDP || p->protocol == IPPROTO_SCTP;
}

/* What a pod says about a packet that it got: the remote end sent that to the node. */
static __always_inline int nat_send_error(struct __sk_buff *skb, struct work *w)
{
	struct packet *quoted = &w->quoted;
	int reason;

	__builtin_memset(quoted, 0, sizeof(*quoted));
	reason = parse_quoted(skb, &w->packet, quoted);
	if (reason)
		return reason;
	w->nat_key.remote = quoted->source;
	w->nat_key.remote_port = quoted->source_port;
	w->nat_key.protocol = quoted->protocol;
	w->nat_entry.address = quoted->destination;
	w->nat_entry.port = quoted->destination_port;
	reason = nat_find(w, false);
	if (reason)
		return reason;
	reason = nat_rewrite_quoted(skb, w, &w->nat_key.local, w->nat_key.local_port, NAT_DESTINATION);
	return reason ? reason : nat_rewrite(skb, w, &w->nat_key.local, 0, NAT_SOURCE);
}

/* Gives a pod's packet the node's address. Returns FORWARDED or the reason for a drop: its own never gets out. */
static __always_inline int nat_send(struct __sk_buff *skb, struct work *w)
{
	const __u32 ifindex = skb->ifindex;
	const struct uplink *uplink = bpf_map_lookup_elem(&weir_uplinks_v1, &ifindex);
	struct packet *p = &w->packet;
	int reason = parse_packet(skb, p);

	if (reason)
		return reason;
	if (!uplink)
		return DROP_NAT_NO_MAPPING;
	__builtin_memset(&w->nat_key, 0, sizeof(w->nat_key));
	w->nat_key.local = p->is_ipv4 ? uplink->ipv4 : uplink->ipv6;
	if (!w->nat_key.local.halves[1])
		return DROP_NAT_NO_MAPPING;
	if (unlikely(p->is_icmp_error))
		return nat_send_error(skb, w);
	if (!nat_is_supported(p))
		return DROP_NAT_UNSUPPORTED_PROTOCOL;
	/* The stack may have made fragments of a whole packet. */
	if (unlikely(p->fragment == FRAGMENT_FIRST))
		fragment_learn(p);
	w->nat_key.remote = p->destination;
	w->nat_key.remote_port = p->destination_port;
	w->nat_key.protocol = p->protocol;
	w->nat_entry.address = p->source;
	w->nat_entry.port = p->source_port;
	if (opens_connection(p) || nat_find(w, true)) {
		reason = nat_take(skb, w);
		if (reason)
			return reason;
	}
	return nat_rewrite(skb, w, &w->nat_key.local, w->nat_key.local_port, NAT_SOURCE);
}

/* Who they are whose packet is dropped where it leaves. */
static __always_inline void nat_report_ends(struct work *w)
{
	resolve_end(&w->packet.source, &w->source);
	resolve_end(&w->packet.destination, &w->destination);
	w->report.source_identity = w->source.identity;
	w->report.source_endpoint = w->source.endpoint;
	w->report.destination_identity = w->destination.identity;
}

static __always_inline bool nat_is_port_ours(__u8 protocol, __be16 port)
{
	/* One unsigned comparison for both ends of the range. */
	return bpf_ntohs(port) - config_masquerade_first_port < config_masquerade_ports || protocol == IPPROTO_SCTP;
}

/* Whether it is worth looking for the pod that a packet for the node may be for. */
static __always_inline bool nat_may_be_answer(const struct packet *p)
{
	return p->is_icmp_error || nat_is_port_ours(p->protocol, p->destination_port);
}

/* Looks for the flow of `w->nat_key`, and leaves a copy. A pod that is gone gets no answers. */
static __always_inline struct nat_entry *nat_live_entry(struct work *w)
{
	struct nat_entry *entry = bpf_map_lookup_elem(&weir_nat_v1, &w->nat_key);

	if (!entry || ticks_passed(entry->expires, now_ticks()))
		return NULL;
	w->nat_entry = *entry;
	return bpf_map_lookup_elem(&weir_endpoints_v1, &w->nat_entry.address) ? entry : NULL;
}

/* What anybody on the way says about a packet that left with the node's address. */
static __always_inline int nat_receive_error(struct __sk_buff *skb, struct work *w)
{
	struct packet *quoted = &w->quoted;
	int reason;

	__builtin_memset(quoted, 0, sizeof(*quoted));
	if (parse_quoted(skb, &w->packet, quoted) || !nat_is_port_ours(quoted->protocol, quoted->source_port))
		return NAT_NOT_OURS;
	w->nat_key.remote = quoted->destination;
	w->nat_key.remote_port = quoted->destination_port;
	w->nat_key.local = quoted->source;
	w->nat_key.local_port = quoted->source_port;
	w->nat_key.protocol = quoted->protocol;
	if (!nat_live_entry(w))
		return NAT_NOT_OURS;
	reason = nat_rewrite_quoted(skb, w, &w->nat_entry.address, w->nat_entry.port, NAT_SOURCE);
	return reason ? reason : nat_rewrite(skb, w, &w->nat_entry.address, 0, NAT_DESTINATION);
}

/*
 * Gives a packet for the node that is an answer to a pod that pod's address, so that it is judged as one for the pod.
 * Returns FORWARDED, NAT_NOT_OURS or the reason for a drop.
 */
static __noinline int nat_receive(struct __sk_buff *skb, struct work *w)
{
	struct packet *p = &w->packet;
	struct nat_entry *entry;

	__builtin_memset(&w->nat_key, 0, sizeof(w->nat_key));
	if (unlikely(p->is_icmp_error))
		return nat_receive_error(skb, w);
	w->nat_key.remote = p->source;
	w->nat_key.remote_port = p->source_port;
	w->nat_key.local = p->destination;
	w->nat_key.local_port = p->destination_port;
	w->nat_key.protocol = p->protocol;
	entry = nat_live_entry(w);
	if (!entry)
		return NAT_NOT_OURS;
	nat_account(entry, p, true);
	if (unlikely(p->fragment == FRAGMENT_FIRST))
		fragment_learn(p);
	return nat_rewrite(skb, w, &w->nat_entry.address, w->nat_entry.port, NAT_DESTINATION);
}
