/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * The policy of the host itself. Between the host and pods it is asked where their packets are judged anyway; what else
 * the host receives and sends passes the uplinks, and is told from the rest here. While the policy enforces nothing, it
 * has no slot, and nobody looks.
 */

enum host_end {
	HOST_NO_END = 0,
	HOST_RECEIVES = 1,
	HOST_SENDS = 2,
};

#define DHCP_CLIENT   68
#define DHCP_SERVER   67
#define DHCPV6_CLIENT 546
#define DHCPV6_SERVER 547

#define ICMPV6_ROUTER_SOLICIT 133
#define ICMPV6_REDIRECT	      137
#define NEIGHBOUR_HOP_LIMIT   255

/* No route leads there, so that it is the host's own at the one end of a link and a neighbour's at the other. */
static __always_inline bool address_is_link_local(const union ip_addr *address)
{
	return address->bytes[0] == 0xfe && (address->bytes[1] & 0xc0) == 0x80;
}

static __noinline int is_host(const union ip_addr *address)
{
	const struct ipcache_entry *entry = bpf_map_lookup_elem(&weir_ipcache_v1, address);

	return (entry && entry->identity == IDENTITY_HOST) || address_is_link_local(address);
}

/*
 * What no policy may keep from the host, since without it there is no link and no node: neighbour discovery (RFC 4861),
 * the address that it has by DHCP (RFC 2131, RFC 8415), and the overlay between nodes, whose packets are judged when
 * they have come out of it.
 */
static __always_inline bool host_is_exempt(const struct packet *p, bool receives)
{
	const __be16 own = receives ? p->destination_port : p->source_port;
	const __be16 peers = receives ? p->source_port : p->destination_port;

	if (p->protocol == IPPROTO_ICMPV6)
		return p->ttl == NEIGHBOUR_HOP_LIMIT && p->icmp_type >= ICMPV6_ROUTER_SOLICIT &&
		       p->icmp_type <= ICMPV6_REDIRECT;
	if (p->protocol != IPPROTO_UDP)
		return false;
	if (config_overlay_ifindex && p->destination_port == bpf_htons(TUNNEL_PORT)) {
		if (!bpf_map_lookup_elem(&weir_node_addresses_v1, receives ? &p->source : &p->destination))
			return false;
		if (unlikely(p->fragment == FRAGMENT_FIRST))
			fragment_learn(p);
		return true;
	}
	return (own == bpf_htons(DHCP_CLIENT) && peers == bpf_htons(DHCP_SERVER)) ||
	       (own == bpf_htons(DHCPV6_CLIENT) && peers == bpf_htons(DHCPV6_SERVER));
}

/* Whether a packet from an uplink, which is for no pod, is one that the host's policy is about. */
static __noinline int host_receives(struct work *w)
{
	if (!is_host(&w->packet.destination) || host_is_exempt(&w->packet, true))
		return false;
	w->host_end = HOST_RECEIVES;
	return true;
}

/* The same of a packet on its way out. Nothing holds the host to whom it may call by multicast. */
static __noinline int host_sends(struct work *w)
{
	if (!is_host(&w->packet.source) || address_is_multicast(&w->packet.destination) ||
	    host_is_exempt(&w->packet, false))
		return false;
	w->host_end = HOST_SENDS;
	return true;
}

/* Which end of the packet's flow the host is where its address cannot tell. */
static __always_inline void host_identify(struct work *w, const struct packet *p, bool reply)
{
	const bool sends = w->host_end == HOST_SENDS;

	if (likely(!w->host_end) || !address_is_link_local(sends ? &p->source : &p->destination))
		return;
	(sends != reply ? &w->source : &w->destination)->identity = IDENTITY_HOST;
}

/* Gives the host's end its policy. Others may send in its name, by masquerading: what they may is not its business. */
static __always_inline void host_police(const struct work *w, const struct ct_entry *entry, struct end *end)
{
	if (likely(end->identity != IDENTITY_HOST))
		return;
	end->policy_slot = entry->flags & CT_PASSING ? 0 : w->host_policy & HOST_POLICY_SLOT;
	end->audited = w->host_policy & HOST_POLICY_AUDITED;
}

/* State of the host's socket for a TCP packet, or of the one that listens there; 0: there is none. */
static __noinline int host_socket_state(struct __sk_buff *skb, const struct work *w, __u32 listener)
{
	const struct packet *p = &w->packet;
	const bool receives = w->host_end == HOST_RECEIVES;
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *socket;
	int state;

	if (p->is_ipv4) {
		tuple.ipv4.daddr = receives ? p->destination.words[3] : p->source.words[3];
		tuple.ipv4.dport = receives ? p->destination_port : p->source_port;
		if (!listener) {
			tuple.ipv4.saddr = receives ? p->source.words[3] : p->destination.words[3];
			tuple.ipv4.sport = receives ? p->source_port : p->destination_port;
		}
		socket = bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	} else {
		__builtin_memcpy(tuple.ipv6.daddr, receives ? &p->destination : &p->source, 16);
		tuple.ipv6.dport = receives ? p->destination_port : p->source_port;
		if (!listener) {
			__builtin_memcpy(tuple.ipv6.saddr, receives ? &p->source : &p->destination, 16);
			tuple.ipv6.sport = receives ? p->source_port : p->destination_port;
		}
		socket = bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	}
	if (!socket)
		return 0;
	state = socket->state;
	bpf_sk_release(socket);
	return state;
}

/*
 * Remembers a connection that is older than the host's policy and whose packet in hand goes against the way in which it
 * was opened: to a client of the host's, or from a server of it, which has a socket that listens. Its policy is that of
 * the other direction. True when there is an entry now; it is yet to be judged.
 */
static __noinline int host_adopts(struct __sk_buff *skb, struct work *w, __u32 high)
{
	const bool receives = w->host_end == HOST_RECEIVES;
	struct ct_entry *entry = &w->entry;
	int state;

	if (w->packet.protocol != IPPROTO_TCP || w->packet.tcp_flags & TCP_SYN || w->host_passes)
		return false;
	state = host_socket_state(skb, w, false);
	if (!state || state == BPF_TCP_LISTEN)
		return false;
	if ((host_socket_state(skb, w, true) == BPF_TCP_LISTEN) == receives)
		return false;
	__builtin_memset(entry, 0, sizeof(*entry));
	entry->flags = high ? 0 : CT_OPENED_BY_HIGH;
	entry->revision = w->revision - 1;
	entry->expires = now_ticks() + config_tcp_opening_ticks;
	return !bpf_map_update_elem(&weir_ct_v2, &w->key, entry, BPF_ANY);
}
