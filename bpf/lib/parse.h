/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* Headers → struct packet. Every function returns FORWARDED or the reason why the packet cannot be judged. */

#define ICMP_ECHO_REPLY	   0
#define ICMP_UNREACHABLE   3
#define ICMP_ECHO_REQUEST  8
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETER	   12

#define ICMPV6_UNREACHABLE   1
#define ICMPV6_PARAMETER     4
#define ICMPV6_ECHO_REQUEST  128
#define ICMPV6_ECHO_REPLY    129
#define ICMPV6_SOLICIT	     135
#define ICMPV6_ADVERTISEMENT 136

#define ICMP_HEAD_LENGTH 8

#define IPV6_EXTENSIONS_MAX 6

#define IPV4_FRAGMENT_OFFSET 0x1fff
#define IPV4_MORE_FRAGMENTS  0x2000

struct ports {
	__be16 source;
	__be16 destination;
};

struct tcp_head {
	struct ports ports;
	__be32 sequence;
	__be32 acknowledgement;
	__u8 offset;
	__u8 flags;
};

struct icmp_head {
	__u8 type;
	__u8 code;
	__be16 checksum;
	__be16 identifier;
	__be16 sequence;
};

struct ipv6_extension {
	__u8 next;
	__u8 length;
	__be16 offset;
	__be32 identification;
};

/*
 * An echo's identifier stands in for the port of the end that asks; the other end has port 0 and the key says who
 * asked: an answer can then never be taken for a question, nor open the way for one. Other messages are judged one by
 * one, by type, which takes the place of the destination port.
 */
static __always_inline void parse_icmp(struct packet *p, const struct icmp_head *icmp)
{
	__u8 request = p->protocol == IPPROTO_ICMP ? ICMP_ECHO_REQUEST : ICMPV6_ECHO_REQUEST;
	__u8 reply = p->protocol == IPPROTO_ICMP ? ICMP_ECHO_REPLY : ICMPV6_ECHO_REPLY;

	p->icmp_type = icmp->type;
	p->icmp_code = icmp->code;
	p->source_port = 0;
	p->destination_port = 0;
	if (icmp->type == request) {
		p->source_port = icmp->identifier;
		p->key_flags = CT_KEY_ASKED_BY_LOW;
	} else if (icmp->type == reply) {
		p->destination_port = icmp->identifier;
		p->key_flags = CT_KEY_ASKED_BY_HIGH;
	} else if (p->protocol == IPPROTO_ICMP) {
		p->is_icmp_error =
		    icmp->type == ICMP_UNREACHABLE || icmp->type == ICMP_TIME_EXCEEDED || icmp->type == ICMP_PARAMETER;
	} else {
		p->is_icmp_error = icmp->type >= ICMPV6_UNREACHABLE && icmp->type <= ICMPV6_PARAMETER;
	}
}

/* `end` is where the datagram ends: what is behind it is the link's padding. */
static __always_inline int parse_l4(struct __sk_buff *skb, struct packet *p, __u32 end)
{
	if (p->protocol == IPPROTO_TCP) {
		struct tcp_head tcp;

		if (p->l4_offset + sizeof(tcp) > end || bpf_skb_load_bytes(skb, p->l4_offset, &tcp, sizeof(tcp)))
			return DROP_CT_TRUNCATED;
		p->source_port = tcp.ports.source;
		p->destination_port = tcp.ports.destination;
		p->tcp_flags = tcp.flags;
	} else if (p->protocol == IPPROTO_UDP || p->protocol == IPPROTO_SCTP) {
		struct ports ports;

		if (p->l4_offset + sizeof(ports) > end || bpf_skb_load_bytes(skb, p->l4_offset, &ports, sizeof(ports)))
			return DROP_CT_TRUNCATED;
		p->source_port = ports.source;
		p->destination_port = ports.destination;
	} else if (p->protocol == (p->is_ipv4 ? IPPROTO_ICMP : IPPROTO_ICMPV6)) {
		struct icmp_head icmp;

		if (p->l4_offset + sizeof(icmp) > end || bpf_skb_load_bytes(skb, p->l4_offset, &icmp, sizeof(icmp)))
			return DROP_CT_TRUNCATED;
		parse_icmp(p, &icmp);
	}
	/* Any other protocol is judged without ports. */
	return FORWARDED;
}

static __always_inline void fragment_key_of(const struct packet *p, struct fragment_key *key)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->source = p->source;
	key->destination = p->destination;
	key->identification = p->identification;
	key->protocol = p->protocol;
}

/*
 * A datagram's first fragment tells its ports to the ones behind it, once its sender is known to be who it says. One
 * that comes before its first cannot be judged.
 */
static __noinline int fragment_learn(const struct packet *p)
{
	struct fragment_key key;
	struct fragment_ports ports = {};

	fragment_key_of(p, &key);
	ports.source = p->source_port;
	ports.destination = p->destination_port;
	ports.icmp_type = p->icmp_type;
	ports.icmp_code = p->icmp_code;
	ports.key_flags = p->key_flags;
	bpf_map_update_elem(&weir_fragments_v1, &key, &ports, BPF_ANY);
	return FORWARDED;
}

static __noinline int fragment_recall(struct packet *p)
{
	struct fragment_key key;
	const struct fragment_ports *ports;

	fragment_key_of(p, &key);
	ports = bpf_map_lookup_elem(&weir_fragments_v1, &key);
	if (!ports)
		return DROP_FIRST_FRAGMENT_MISSING;
	p->source_port = ports->source;
	p->destination_port = ports->destination;
	p->icmp_type = ports->icmp_type;
	p->icmp_code = ports->icmp_code;
	p->key_flags = ports->key_flags;
	return FORWARDED;
}

/*
 * What stands behind the layer 3 headers, with the help of the first fragment where this is a later one. A first
 * fragment must have all in it that is judged (RFC 1858). Where a whole packet ends is the receiver's business: one
 * that was put together of many is longer than its header can say.
 */
static __always_inline int parse_payload(struct __sk_buff *skb, struct packet *p, __u32 end)
{
	if (unlikely(p->fragment == FRAGMENT_LATER))
		return fragment_recall(p);
	return parse_l4(skb, p, unlikely(p->fragment == FRAGMENT_FIRST) ? end : (__u32)-1);
}

static __always_inline int parse_ipv4(struct __sk_buff *skb, struct packet *p)
{
	struct iphdr ip;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)) || ip.version != 4 || ip.ihl < 5)
		return DROP_INVALID_PACKET;
	address_from_ipv4(&p->source, ip.saddr);
	address_from_ipv4(&p->destination, ip.daddr);
	p->is_ipv4 = true;
	p->protocol = ip.protocol;
	p->ttl = ip.ttl;
	p->l4_offset = ETH_HLEN + ip.ihl * 4;
	p->identification = ip.id;
	if (unlikely(ip.frag_off & bpf_htons(IPV4_FRAGMENT_OFFSET)))
		p->fragment = FRAGMENT_LATER;
	else if (unlikely(ip.frag_off & bpf_htons(IPV4_MORE_FRAGMENTS)))
		p->fragment = FRAGMENT_FIRST;
	return parse_payload(skb, p, ETH_HLEN + bpf_ntohs(ip.tot_len));
}

static __always_inline bool is_extension(__u8 header)
{
	return header == IPPROTO_HOPOPTS || header == IPPROTO_ROUTING || header == IPPROTO_DSTOPTS ||
	       header == IPPROTO_FRAGMENT || header == IPPROTO_AH;
}

/*
 * Walks the extension headers that begin with `p->protocol` at `p->l4_offset` to the first header that is not one. A
 * fragment must not have any behind its fragment header: only the receiver could say what they hide. Unrolled, because
 * verifiers up to 6.1 refuse some shapes that clang may give to a loop.
 */
static __noinline int skip_extensions(struct __sk_buff *skb, struct packet *p)
{
	struct ipv6_extension extension;
	__u32 offset = p->l4_offset;
	__u8 next = p->protocol;

#pragma unroll
	for (int i = 0; i < IPV6_EXTENSIONS_MAX; i++) {
		const __u8 header = next;

		if (p->fragment || bpf_skb_load_bytes(skb, offset, &extension, sizeof(extension)))
			return DROP_INVALID_EXTENSION_HEADER;
		next = extension.next;
		if (header == IPPROTO_AH)
			offset += (extension.length + 2) * 4;
		else
			offset += header == IPPROTO_FRAGMENT ? 8 : (extension.length + 1) * 8;
		/* RFC 6946: an atomic fragment, with offset 0 and none to follow, is whole. */
		if (header == IPPROTO_FRAGMENT && extension.offset & bpf_htons(0xfff9)) {
			p->fragment = extension.offset & bpf_htons(0xfff8) ? FRAGMENT_LATER : FRAGMENT_FIRST;
			p->identification = extension.identification;
		}
		if (!is_extension(next)) {
			p->protocol = next;
			p->l4_offset = offset;
			return FORWARDED;
		}
	}
	return DROP_INVALID_EXTENSION_HEADER;
}

static __always_inline int parse_ipv6(struct __sk_buff *skb, struct packet *p)
{
	struct ipv6hdr ip;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)) || ip.version != 6)
		return DROP_INVALID_PACKET;
	address_from_ipv6(&p->source, &ip.saddr);
	address_from_ipv6(&p->destination, &ip.daddr);
	/* On the wire, ::ffff:0:0/96 would pass for the IPv4 address that it is our own form of (RFC 6890: not global).
	 */
	if (unlikely(address_is_ipv4(&p->source) || address_is_ipv4(&p->destination)))
		return DROP_INVALID_PACKET;
	p->ttl = ip.hop_limit;
	p->protocol = ip.nexthdr;
	p->l4_offset = ETH_HLEN + sizeof(ip);
	if (unlikely(is_extension(ip.nexthdr))) {
		const int reason = skip_extensions(skb, p);

		if (reason)
			return reason;
	}
	return parse_payload(skb, p, ETH_HLEN + sizeof(ip) + bpf_ntohs(ip.payload_len));
}

static __always_inline int parse_packet(struct __sk_buff *skb, struct packet *p)
{
	if (likely(skb->protocol == bpf_htons(ETH_P_IP)))
		return parse_ipv4(skb, p);
	if (skb->protocol == bpf_htons(ETH_P_IPV6))
		return parse_ipv6(skb, p);
	return DROP_UNSUPPORTED_L3;
}
