/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * A pod's neighbours: there is only one, the gateway, and it has every address but the pod's own. ARP requests (RFC
 * 826) and neighbour solicitations (RFC 4861) are answered here; nothing of the kind leaves the pod's link.
 */

struct arp {
	__be16 hardware;
	__be16 protocol;
	__u8 hardware_length;
	__u8 protocol_length;
	__be16 operation;
	__u8 sender_mac[ETH_ALEN];
	__u8 sender_ip[4];
	__u8 target_mac[ETH_ALEN];
	__u8 target_ip[4];
};

#define ARP_REQUEST 1
#define ARP_REPLY   2

/* Sends the packet back where it came from, as if from the gateway. */
static __always_inline int reply_to_pod(struct __sk_buff *skb, const __u8 *pod_mac)
{
	const __u8 gateway[ETH_ALEN] = GATEWAY_MAC;

	bpf_skb_store_bytes(skb, offsetof(struct ethhdr, h_dest), pod_mac, ETH_ALEN, 0);
	bpf_skb_store_bytes(skb, offsetof(struct ethhdr, h_source), gateway, ETH_ALEN, 0);
	return bpf_redirect(skb->ifindex, 0);
}

static __noinline int answer_arp(struct __sk_buff *skb, const struct endpoint *self)
{
	const __u8 gateway[ETH_ALEN] = GATEWAY_MAC;
	__be32 own, sender, target;
	struct arp arp;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, &arp, sizeof(arp)) || arp.hardware != bpf_htons(1) ||
	    arp.protocol != bpf_htons(ETH_P_IP) || arp.hardware_length != ETH_ALEN || arp.protocol_length != 4)
		return -DROP_INVALID_PACKET;
	own = self->ipv4.words[3];
	__builtin_memcpy(&sender, arp.sender_ip, 4);
	__builtin_memcpy(&target, arp.target_ip, 4);
	/* Announcements and probes for the own address (RFC 5227) want silence as the answer. */
	if (arp.operation != bpf_htons(ARP_REQUEST) || target == own)
		return -DROP_NEIGHBOUR_PROTOCOL;
	if (sender != own && sender != 0)
		return -DROP_INVALID_SOURCE_IP;
	__builtin_memcpy(arp.target_mac, self->mac, ETH_ALEN);
	__builtin_memcpy(arp.target_ip, arp.sender_ip, 4);
	__builtin_memcpy(arp.sender_mac, gateway, ETH_ALEN);
	__builtin_memcpy(arp.sender_ip, &target, 4);
	arp.operation = bpf_htons(ARP_REPLY);
	if (bpf_skb_store_bytes(skb, ETH_HLEN, &arp, sizeof(arp), 0))
		return -DROP_INVALID_PACKET;
	return reply_to_pod(skb, self->mac);
}

struct neighbour_message {
	__u8 type;
	__u8 code;
	__be16 checksum;
	__be32 flags;
	union ip_addr target;
	__u8 option_type;
	__u8 option_length; /* in 8 bytes */
	__u8 option_mac[ETH_ALEN];
} __attribute__((packed));

struct ipv6_pseudo_header {
	union ip_addr source;
	union ip_addr destination;
	__be32 length;
	__be32 next;
};

#define NEIGHBOUR_ADVERTISEMENT_FLAGS 0xe0000000 /* router, solicited, override */
#define NEIGHBOUR_OPTION_TARGET	      2
#define SOLICITATION_LENGTH	      24 /* without options */

static __always_inline __u16 checksum_fold(__s64 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static __noinline int answer_solicitation(struct __sk_buff *skb, const struct packet *p, const struct endpoint *self)
{
	const __u8 gateway[ETH_ALEN] = GATEWAY_MAC;
	const __u32 l4_offset = ETH_HLEN + sizeof(struct ipv6hdr);
	struct ipv6_pseudo_header pseudo = {};
	struct neighbour_message message = {};
	union ip_addr source, target;
	__s64 sum;

	/* No system puts anything in front of a solicitation, and none may cut one up (RFC 6980). */
	if (p->l4_offset != l4_offset ||
	    bpf_skb_load_bytes(skb, ETH_HLEN + offsetof(struct ipv6hdr, saddr), &source, sizeof(source)) ||
	    bpf_skb_load_bytes(skb, l4_offset + offsetof(struct neighbour_message, target), &target, sizeof(target)))
		return -DROP_INVALID_PACKET;
	/* The probe for the own address (RFC 4862 5.4) comes from :: and wants silence. */
	if (address_equal(&target, &self->ipv6) || (source.halves[0] == 0 && source.halves[1] == 0))
		return -DROP_NEIGHBOUR_PROTOCOL;

	message.type = ICMPV6_ADVERTISEMENT;
	message.flags = bpf_htonl(NEIGHBOUR_ADVERTISEMENT_FLAGS);
	message.target = target;
	message.option_type = NEIGHBOUR_OPTION_TARGET;
	message.option_length = 1;
	__builtin_memcpy(message.option_mac, gateway, ETH_ALEN);
	pseudo.source = target;
	pseudo.destination = source;
	pseudo.length = bpf_htonl(sizeof(message));
	pseudo.next = bpf_htonl(IPPROTO_ICMPV6);
	sum = bpf_csum_diff(0, 0, (__be32 *)&pseudo, sizeof(pseudo), 0);
	sum = bpf_csum_diff(0, 0, (__be32 *)&message, sizeof(message), sum);
	message.checksum = checksum_fold(sum);

	/* A solicitation may come without an option, or with more than one; the answer has one length. */
	if (bpf_skb_change_tail(skb, l4_offset + sizeof(message), 0))
		return -DROP_INVALID_PACKET;
	struct {
		__be16 length;
		__u8 next;
		__u8 hops;
	} head = {bpf_htons(sizeof(message)), IPPROTO_ICMPV6, 255};

	bpf_skb_store_bytes(skb, ETH_HLEN + offsetof(struct ipv6hdr, payload_len), &head, sizeof(head), 0);
	bpf_skb_store_bytes(skb, ETH_HLEN + offsetof(struct ipv6hdr, saddr), &target, sizeof(target), 0);
	bpf_skb_store_bytes(skb, ETH_HLEN + offsetof(struct ipv6hdr, daddr), &source, sizeof(source), 0);
	bpf_skb_store_bytes(skb, l4_offset, &message, sizeof(message), 0);
	return reply_to_pod(skb, self->mac);
}

/*
 * Neighbour discovery of a pod: solicitations are answered, the harmless rest is swallowed, and what only a router may
 * say is forbidden (a pod that sends router advertisements takes over its neighbours' traffic: CVE-2020-10749).
 * Returns a TC action, or minus the reason for a drop.
 */
static __always_inline int handle_neighbour_discovery(struct __sk_buff *skb, const struct packet *p,
						      const struct endpoint *self)
{
	switch (p->icmp_type) {
	case ICMPV6_SOLICIT:
		return answer_solicitation(skb, p, self);
	case 130: /* multicast listener query, report, done, report v2; router solicitation; advertisement */
	case 131:
	case 132:
	case 143:
	case 133:
	case ICMPV6_ADVERTISEMENT:
		return -DROP_NEIGHBOUR_PROTOCOL;
	default:
		return -DROP_FORBIDDEN_ICMPV6;
	}
}

static __always_inline bool is_neighbour_discovery(const struct packet *p)
{
	return !p->is_ipv4 && p->protocol == IPPROTO_ICMPV6 && p->fragment != FRAGMENT_LATER &&
	       ((p->icmp_type >= 130 && p->icmp_type <= 137) || p->icmp_type == 143);
}
