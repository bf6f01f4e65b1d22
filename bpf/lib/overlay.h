/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* The way into the overlay: tunnel.h says of whom we believe what comes out of it. */

static __always_inline __u8 traffic_class(const struct packet *p, const struct ethhdr *eth)
{
	const __u8 *ip = (const __u8 *)(eth + 1);

	return p->is_ipv4 ? ip[1] : ip[0] << 4 | ip[1] >> 4;
}

/*
 * Wraps the packet and sends it to the node of its receiver, whose number stands where the MAC address of a local pod
 * would. ECN is the VXLAN device's to copy, both ways (RFC 6040).
 */
static __always_inline int to_overlay(struct __sk_buff *skb, struct work *w, __u32 identity, const __u8 *mac)
{
	const struct packet *p = &w->packet;
	const __u8 gateway[ETH_ALEN] = GATEWAY_MAC;
	const __u8 sender[ETH_ALEN] = TUNNEL_SOURCE_MAC;
	struct bpf_tunnel_key key = {};
	const union ip_addr *node;
	struct ethhdr *eth;
	__u32 number, length, mtu;
	__u64 flags;
	bool rigid;

	__builtin_memcpy(&number, mac, sizeof(number));
	node = bpf_map_lookup_elem(&weir_nodes_v1, &number);
	if (!node || !node->halves[1])
		return -DROP_NO_TUNNEL_ENDPOINT;
	eth = packet_head(skb, ETH_HLEN + sizeof(struct iphdr));
	if (!eth)
		return -DROP_INVALID_PACKET;
	length = layer3_length(skb, p);
	rigid = is_rigid(p, eth, length);
	if (length > PATH_MTU_ASKED_FROM && (rigid || !address_is_ipv4(node))) {
		const __u32 head = address_is_ipv4(node) ? TUNNEL_BYTES_IPV4 : TUNNEL_BYTES_IPV6;

		mtu = narrow_path_mtu(skb, node, length + head);
		if (unlikely(mtu))
			return answer_too_big(skb, w, mtu - head);
	}
	__builtin_memcpy(eth->h_dest, gateway, ETH_ALEN);
	__builtin_memcpy(eth->h_source, sender, ETH_ALEN);
	key.tunnel_id = identity == IDENTITY_HOST ? IDENTITY_REMOTE_NODE : identity;
	key.tunnel_ttl = TUNNEL_TTL;
	key.tunnel_tos = traffic_class(p, eth) & 0xfc;
	if (address_is_ipv4(node)) {
		key.remote_ipv4 = bpf_ntohl(node->words[3]);
		flags = BPF_F_ZERO_CSUM_TX | (rigid ? BPF_F_DONT_FRAGMENT : 0);
	} else {
		__builtin_memcpy(key.remote_ipv6, node, sizeof(key.remote_ipv6));
		flags = BPF_F_TUNINFO_IPV6;
	}
	if (bpf_skb_set_tunnel_key(skb, &key, TUNNEL_KEY_LENGTH, flags))
		return -DROP_NO_TUNNEL_ENDPOINT;
	skb->mark = 0;
	return bpf_redirect(config_overlay_ifindex, 0);
}
