/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* Other addresses and ports in a packet, and in one that an ICMP error quotes, with all sums kept right. */

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
