/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * The path to another node may be narrower than the link here. The kernel learns that, as for all that it sends itself,
 * but not who sent what is wrapped: it would drop the packet and tell nobody. So a packet that does not fit is answered
 * before it is wrapped (RFC 1191, RFC 8201). One that may be cut up is: in the outer header, on its way.
 */

/* Outer IP, UDP, VXLAN and inner Ethernet headers. */
#define TUNNEL_BYTES_IPV4 50
#define TUNNEL_BYTES_IPV6 70

/* Linux believes of no IPv4 path that it is narrower than 552. */
#define PATH_MTU_ASKED_FROM (552 - TUNNEL_BYTES_IPV6)
#define IPV6_MTU_MIN	    1280
#define IPV4_MTU_MIN	    68
#define IPV4_DONT_FRAGMENT  0x4000
#define TCP_OFFSET_BYTE	    12
#define UDP_HEADER	    8

#define AF_INET	 2
#define AF_INET6 10

#define ICMP_FRAGMENTATION_NEEDED 4
#define ICMPV6_TOO_BIG		  2

/* How much of the packet the answer quotes: the headers, whatever they have of options. */
#define TOO_BIG_QUOTES 128

struct too_big {
	__u8 type;
	__u8 code;
	__be16 checksum;
	__be32 mtu; /* in IPv4, of the lower half */
};

struct too_big_ipv4 {
	struct iphdr ip;
	struct too_big icmp;
};

struct too_big_ipv6 {
	struct ipv6hdr ip;
	struct too_big icmp;
};

/* Length at layer 3 of the packet, or of those that it will be cut into where a device is to do that for TCP. */
static __always_inline __u32 layer3_length(struct __sk_buff *skb, const struct packet *p)
{
	__u8 offset = UDP_HEADER << 2;

	if (!skb->gso_size)
		return skb->len - ETH_HLEN;
	if (p->protocol == IPPROTO_TCP &&
	    bpf_skb_load_bytes(skb, p->l4_offset + TCP_OFFSET_BYTE, &offset, sizeof(offset)))
		return 0;
	return p->l4_offset - ETH_HLEN + (offset >> 4 << 2) + skb->gso_size;
}

/* What the path to a node takes, if that is less than `length`; 0: it takes that. Before 5.12 the kernel never says. */
static __noinline __u32 narrow_path_mtu(struct __sk_buff *skb, const union ip_addr *node, __u32 length)
{
	struct bpf_fib_lookup fib = {.ifindex = skb->ifindex, .tot_len = length};

	if (address_is_ipv4(node)) {
		fib.family = AF_INET;
		fib.ipv4_dst = node->words[3];
	} else {
		fib.family = AF_INET6;
		__builtin_memcpy(fib.ipv6_dst, node, sizeof(fib.ipv6_dst));
	}
	if (bpf_fib_lookup(skb, &fib, sizeof(fib), 0) != BPF_FIB_LKUP_RET_FRAG_NEEDED || fib.mtu_result >= length)
		return 0;
	return fib.mtu_result;
}

/* Whether the outer header must say that the packet is not to be cut up: RFC 8200 5 lets no packet be too short. */
static __always_inline bool is_rigid(const struct packet *p, const struct ethhdr *eth, __u32 length)
{
	if (p->is_ipv4)
		return ((const struct iphdr *)(eth + 1))->frag_off & bpf_htons(IPV4_DONT_FRAGMENT);
	return length > IPV6_MTU_MIN;
}

static __noinline int write_too_big_ipv4(struct __sk_buff *skb, const struct packet *p, __u32 mtu)
{
	struct too_big_ipv4 head = {
	    .ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_ICMP},
	    .icmp = {.type = ICMP_UNREACHABLE, .code = ICMP_FRAGMENTATION_NEEDED},
	};
	void *data = packet_head(skb, ETH_HLEN + sizeof(head) + TOO_BIG_QUOTES);
	__s64 sum;

	if (!data)
		return -DROP_FRAGMENTATION_NEEDED;
	head.ip.tot_len = bpf_htons(sizeof(head) + TOO_BIG_QUOTES);
	head.ip.saddr = p->destination.words[3];
	head.ip.daddr = p->source.words[3];
	head.ip.check = checksum_fold(bpf_csum_diff(0, 0, (__be32 *)&head.ip, sizeof(head.ip), 0));
	head.icmp.mtu = bpf_htonl(mtu);
	sum = bpf_csum_diff(0, 0, data + ETH_HLEN + sizeof(head), TOO_BIG_QUOTES, 0);
	sum = bpf_csum_diff(0, 0, (__be32 *)&head.icmp, sizeof(head.icmp), sum);
	head.icmp.checksum = checksum_fold(sum);
	return bpf_skb_store_bytes(skb, ETH_HLEN, &head, sizeof(head), 0);
}

static __noinline int write_too_big_ipv6(struct __sk_buff *skb, const struct packet *p, __u32 mtu)
{
	struct too_big_ipv6 head = {
	    .ip = {.version = 6, .hop_limit = 64, .nexthdr = IPPROTO_ICMPV6},
	    .icmp = {.type = ICMPV6_TOO_BIG},
	};
	struct ipv6_pseudo_header pseudo = {.source = p->destination, .destination = p->source};
	void *data = packet_head(skb, ETH_HLEN + sizeof(head) + TOO_BIG_QUOTES);
	__s64 sum;

	if (!data)
		return -DROP_FRAGMENTATION_NEEDED;
	head.ip.payload_len = bpf_htons(sizeof(head.icmp) + TOO_BIG_QUOTES);
	__builtin_memcpy(&head.ip.saddr, &p->destination, sizeof(head.ip.saddr));
	__builtin_memcpy(&head.ip.daddr, &p->source, sizeof(head.ip.daddr));
	head.icmp.mtu = bpf_htonl(mtu);
	pseudo.length = bpf_htonl(sizeof(head.icmp) + TOO_BIG_QUOTES);
	pseudo.next = bpf_htonl(IPPROTO_ICMPV6);
	sum = bpf_csum_diff(0, 0, data + ETH_HLEN + sizeof(head), TOO_BIG_QUOTES, 0);
	sum = bpf_csum_diff(0, 0, (__be32 *)&head.icmp, sizeof(head.icmp), sum);
	sum = bpf_csum_diff(0, 0, (__be32 *)&pseudo, sizeof(pseudo), sum);
	head.icmp.checksum = checksum_fold(sum);
	return bpf_skb_store_bytes(skb, ETH_HLEN, &head, sizeof(head), 0);
}

/*
 * Turns the packet into what a router says of it, in the name of the address that it was for, and sends it back to
 * where it came from. The proxy is told as it is told everything.
 */
static __noinline int answer_too_big(struct __sk_buff *skb, struct work *w, __u32 mtu)
{
	const struct packet *p = &w->packet;
	const __u32 head = p->is_ipv4 ? sizeof(struct too_big_ipv4) : sizeof(struct too_big_ipv6);
	const __u8 gateway[ETH_ALEN] = GATEWAY_MAC;
	__u8 sender[ETH_ALEN];

	/* Nobody answers errors, or what has no ports to tell by whose it is (RFC 1122 3.2.2). */
	if (p->is_icmp_error || (p->is_ipv4 && p->fragment == FRAGMENT_LATER))
		return -DROP_FRAGMENTATION_NEEDED;
	/* The sender knows of no backend. */
	if (w->is_for_service && lb_restore(skb, w))
		return -DROP_FRAGMENTATION_NEEDED;
	if (bpf_skb_load_bytes(skb, offsetof(struct ethhdr, h_source), sender, sizeof(sender)) ||
	    bpf_skb_change_tail(skb, ETH_HLEN + TOO_BIG_QUOTES, 0) ||
	    bpf_skb_adjust_room(skb, head, BPF_ADJ_ROOM_MAC, 0))
		return -DROP_FRAGMENTATION_NEEDED;
	if (p->is_ipv4 ? write_too_big_ipv4(skb, p, mtu < IPV4_MTU_MIN ? IPV4_MTU_MIN : mtu)
		       : write_too_big_ipv6(skb, p, mtu < IPV6_MTU_MIN ? IPV6_MTU_MIN : mtu))
		return -DROP_FRAGMENTATION_NEEDED;
	bpf_skb_store_bytes(skb, offsetof(struct ethhdr, h_dest), sender, ETH_ALEN, 0);
	bpf_skb_store_bytes(skb, offsetof(struct ethhdr, h_source), gateway, ETH_ALEN, 0);
	skb->mark = w->mark ? MARK_TO_PROXY : 0;
	return bpf_redirect(skb->ifindex, 0);
}
