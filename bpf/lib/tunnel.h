/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * The overlay: packets between pods of two nodes travel in VXLAN (RFC 7348), and the sender's identity in the network
 * identifier. It is believed of known nodes only, and of each only for its own addresses and those of its pods.
 */

#define TUNNEL_PORT 8472
#define TUNNEL_TTL  64

/* The receiving device takes what comes from its own MAC address for a loop, and all nodes' devices have the same one.
 */
#define TUNNEL_SOURCE_MAC                                                                                              \
	{                                                                                                              \
		0xee, 0xee, 0xee, 0xee, 0xee, 0xef                                                                     \
	}

/* What kernels from 5.10 on have of the key; a longer one they refuse. */
#define TUNNEL_KEY_LENGTH offsetof(struct bpf_tunnel_key, local_ipv6)

/* Number of the node whose pod range an address lies in, if it is another one; 0: none. */
static __noinline __u32 node_of_pod(const union ip_addr *address)
{
	struct ip_prefix prefix = {.prefix_length = 128};
	const struct node_reference *node;

	__builtin_memcpy(prefix.address, address, sizeof(prefix.address));
	node = bpf_map_lookup_elem(&weir_pod_ranges_v1, &prefix);
	return node ? node->number : 0;
}

/* Number of the other node that an address is of: that of one of its pods, or its own; 0: none. */
static __noinline __u32 node_of(const union ip_addr *address)
{
	const struct node_reference *node;
	const __u32 number = node_of_pod(address);

	if (number)
		return number;
	node = bpf_map_lookup_elem(&weir_node_addresses_v1, address);
	return node ? node->number : 0;
}

/* Notes which node an end is on, or is. The conntrack entry keeps the number where it has the MAC address of our own
 * pods. */
static __always_inline void tunnel_resolve(const union ip_addr *address, struct end *end)
{
	if (!config_overlay_ifindex)
		return;
	end->node = node_of(address);
	__builtin_memcpy(end->mac, &end->node, sizeof(end->node));
}

/* Identities that come from another node: those of pods, with and without labels, and its own. */
static __always_inline bool tunnel_identity_is_valid(__u32 identity)
{
	return identity >= IDENTITY_POD_MIN || (identity >= IDENTITY_HEALTH && identity <= IDENTITY_REMOTE_NODE);
}

/* Takes node and identity of a packet out of what it was wrapped in. Returns FORWARDED or why it is not believed. */
static __always_inline int tunnel_receive(struct __sk_buff *skb, struct work *w)
{
	const struct node_reference *node;
	struct bpf_tunnel_key key = {};
	union ip_addr sender;

	if (!bpf_skb_get_tunnel_key(skb, &key, TUNNEL_KEY_LENGTH, 0))
		address_from_ipv4(&sender, bpf_htonl(key.remote_ipv4));
	else if (!bpf_skb_get_tunnel_key(skb, &key, TUNNEL_KEY_LENGTH, BPF_F_TUNINFO_IPV6))
		__builtin_memcpy(&sender, key.remote_ipv6, sizeof(sender));
	else
		return DROP_NO_TUNNEL_KEY;
	node = bpf_map_lookup_elem(&weir_node_addresses_v1, &sender);
	if (!node)
		return DROP_UNKNOWN_SENDER;
	if (!tunnel_identity_is_valid(key.tunnel_id))
		return DROP_INVALID_IDENTITY;
	w->tunnel_node = node->number;
	w->tunnel_identity = key.tunnel_id;
	return FORWARDED;
}

/* The node that a packet came from speaks for itself and its own pods, and for nobody else. */
static __noinline int tunnel_check_source(const struct work *w)
{
	const __u32 number = node_of(&w->packet.source);

	return number && number == w->tunnel_node ? FORWARDED : DROP_INVALID_SOURCE_IP;
}

/* The same for a packet of a flow: mostly, the flow already knows. */
static __always_inline int tunnel_check_flow(const struct work *w, const struct ct_entry *entry, bool reply)
{
	const __u8 *mac = reply ? entry->destination_mac : entry->source_mac;
	__u32 number;

	__builtin_memcpy(&number, mac, sizeof(number));
	if (likely(entry->remote & (reply ? CT_REMOTE_DESTINATION : CT_REMOTE_SOURCE) && number == w->tunnel_node))
		return FORWARDED;
	return tunnel_check_source(w);
}

/* A node says that it is one; which one, and what it is known as here, its address says, which it cannot forge. */
static __always_inline bool tunnel_names(const struct work *w, __u32 identity)
{
	return w->tunnel_identity == identity ||
	       (w->tunnel_identity == IDENTITY_REMOTE_NODE && identity >= IDENTITY_NODE_MIN);
}

/* The sender is who the packet says that it is. */
static __always_inline void tunnel_name(const struct work *w, struct end *sender)
{
	if (!tunnel_names(w, sender->identity))
		sender->identity = w->tunnel_identity;
}

/* Whether the sender of a flow's packet has become somebody else, whatever we have heard so far. */
static __always_inline bool tunnel_identity_differs(const struct work *w, const struct ct_entry *entry, bool reply)
{
	return w->tunnel_identity && !tunnel_names(w, reply ? entry->destination_identity : entry->source_identity);
}

/*
 * Who the ends are, where it is known better than by their addresses: the sender by what the packet carries, and a
 * remote pod that has opened the flow by what it carried then, until we hear of its address.
 */
static __always_inline void tunnel_identify(struct work *w, const struct ct_entry *entry, bool reply)
{
	if (!config_overlay_ifindex)
		return;
	if (w->tunnel_identity)
		tunnel_name(w, reply ? &w->destination : &w->source);
	else if (w->source.node && w->source.identity == IDENTITY_UNMANAGED &&
		 entry->source_identity >= IDENTITY_POD_MIN)
		w->source.identity = entry->source_identity;
}

/* Pods of other nodes are heard through the overlay alone, and so are the nodes, but for what one host says to another.
 */
static __always_inline bool tunnel_is_bypassed(const struct work *w)
{
	if (!config_overlay_ifindex || w->tunnel_node)
		return false;
	return w->host_end ? node_of_pod(&w->packet.source) : node_of(&w->packet.source);
}

/* VXLAN of a pod would pass for one of its node's, once its address has been translated (CVE-2019-13119). */
static __always_inline bool tunnel_is_forged(const struct packet *p)
{
	return config_overlay_ifindex && p->protocol == IPPROTO_UDP && p->destination_port == bpf_htons(TUNNEL_PORT);
}
